"""Figures of the pixels outside the swapped faces, of a fake and of the real video of its target.

Both are measured in the same region of the same frames, so that their content is the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Box", "border_region", "changed_outside", "end_numbers", "outside_numbers", "region_outside"]

Box = tuple[int, int, int, int]
"""x, y, width and height, pixels."""
Frame = NDArray[np.uint8]
Region = NDArray[np.bool_]

_MARGIN = 0.35
"""How far around a box is no region, in sizes of the box: the blend mask and the search of the encoder reach there."""
_MIN_PIXELS = 2000
_BORDER = 1 / 8


def region_outside(shape: tuple[int, int], boxes: Sequence[Box]) -> Region:
    """Mark the pixels that are far from all boxes of a video, bool [h, w]; the border's if these are too few.

    Args:
        shape: Height and width of the frames, pixels.
        boxes: The boxes of the swapped faces.
    """
    region = np.ones(shape, np.bool_)
    for x, y, width, height in boxes:
        grown = round(_MARGIN * max(width, height)) + 16
        region[max(0, y - grown) : y + height + grown, max(0, x - grown) : x + width + grown] = False
    return region if region.sum() >= _MIN_PIXELS else border_region(shape)


def border_region(shape: tuple[int, int]) -> Region:
    """Mark the outer eighth of a frame on every side, bool [h, w]."""
    height, width = shape
    region = np.ones(shape, np.bool_)
    down, across = max(1, round(height * _BORDER)), max(1, round(width * _BORDER))
    region[down : height - down, across : width - across] = False
    return region


def changed_outside(fake: Frame, real: Frame, box: Box | None) -> int:
    """Count the pixels that differ and lie outside the box or on its outermost rows and columns.

    Args:
        fake: uint8 [h, w, 3].
        real: The target's frame, uint8 [h, w, 3].
        box: The box of the frame; None if it is not swapped.
    """
    differs = (fake != real).any(axis=2)
    if box is not None:
        x, y, width, height = box
        differs[y + 1 : y + height - 1, x + 1 : x + width - 1] = False
    return int(differs.sum())


def outside_numbers(frames: Sequence[Frame], region: Region) -> dict[str, float]:
    """Return figures of noise, sharpness and block edges in a region.

    Args:
        frames: Consecutive frames, uint8 [h, w, 3] BGR.
        region: The pixels to measure, bool [h, w].
    """
    inner = cv2.erode(region.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    inner = inner if inner.any() else region
    rows = [_frame_numbers(cv2.cvtColor(frame, cv2.COLOR_BGR2YCrCb), inner) for frame in frames]
    figures = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    greys = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).astype(np.float32) for frame in frames]
    moved = [float(np.abs(after - before)[inner].mean()) for before, after in pairwise(greys)]
    figures["change from frame to frame"] = _log(float(np.median(moved))) if moved else 0.0
    return figures


def end_numbers(frames: Sequence[Frame], region: Region, *, first: bool) -> dict[str, float]:
    """Return how the outermost frame differs from the one beside it, in a region.

    Args:
        frames: The first or the last frames of a video, uint8 [h, w, 3] BGR, at least 3 of them.
        region: The pixels to measure, bool [h, w].
        first: Whether these are the first frames.
    """
    near, beside, next_one = (frames if first else frames[::-1])[:3]
    greys = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).astype(np.float32) for frame in (near, beside, next_one)]
    where = "first" if first else "last"
    sharp = [float(np.abs(cv2.Laplacian(grey, cv2.CV_32F))[region].mean()) for grey in greys]
    change = [float(np.abs(after - before)[region].mean()) for before, after in pairwise(greys)]
    return {
        f"change at the {where} frame": _log(change[0]) - _log(change[1]),
        f"sharpness of the {where} frame": _log(sharp[0]) - _log(sharp[1]),
        f"brightness of the {where} frame": float((greys[0] - greys[1])[region].mean()),
    }


def _frame_numbers(picture: Frame, region: Region) -> dict[str, float]:
    """Return the figures of one frame, uint8 [h, w, 3] Y, Cr and Cb."""
    luma, red, blue = (picture[..., channel].astype(np.float32) for channel in range(3))
    noise = luma - cv2.blur(luma, (3, 3))
    values = noise[region]
    spread = float(values.std())
    return {
        "noise of luma": _log(spread),
        "noise of red chroma": _log(float((red - cv2.blur(red, (3, 3)))[region].std())),
        "noise of blue chroma": _log(float((blue - cv2.blur(blue, (3, 3)))[region].std())),
        "rare noise": _log(float(np.mean(values**4)) / max(spread, 1e-3) ** 4),
        "noise of neighbours, across": _neighbours(noise, region, 1),
        "noise of neighbours, down": _neighbours(noise, region, 0),
        "sharpness": _log(float(np.abs(cv2.Laplacian(luma, cv2.CV_32F))[region].mean())),
        "edges of blocks of 4": _blocks(luma, region, 4),
        "edges of blocks of 8": _blocks(luma, region, 8),
        "even values": float((picture[..., 0][region] % 2 == 0).mean()),
        "brightness": float(luma[region].mean()),
        **_lines(luma),
    }


def _neighbours(noise: NDArray[np.float32], region: Region, axis: int) -> float:
    """Return the correlation of the noise of pixels with that of the next ones along an axis."""
    pixels, following = (noise[:, :-1], noise[:, 1:]) if axis else (noise[:-1], noise[1:])
    both = (region[:, :-1] & region[:, 1:]) if axis else (region[:-1] & region[1:])
    a, b = pixels[both], following[both]
    scale = float(a.std() * b.std())
    return float(((a - a.mean()) * (b - b.mean())).mean() / scale) if scale > 1e-6 else 0.0


def _blocks(luma: NDArray[np.float32], region: Region, size: int) -> float:
    """Return the steps at the edges of blocks against those within, as a logarithm."""
    steps, both = np.abs(np.diff(luma, axis=1)), region[:, :-1] & region[:, 1:]
    at_edges = np.zeros(steps.shape[1], np.bool_)
    at_edges[size - 1 :: size] = True
    edge, within = steps[:, at_edges][both[:, at_edges]], steps[:, ~at_edges][both[:, ~at_edges]]
    return _log(float(edge.mean())) - _log(float(within.mean())) if edge.size and within.size else 0.0


def _lines(luma: NDArray[np.float32]) -> dict[str, float]:
    """Return the steps from the outermost rows and columns to the next ones, and the corners against their rows."""
    sides = {"top": luma, "bottom": luma[::-1], "left": luma.T, "right": luma.T[::-1]}
    figures = {}
    for name, turned in sides.items():
        figures[f"step at the {name} row" if name in ("top", "bottom") else f"step at the {name} column"] = _log(
            float(np.abs(turned[0] - turned[1]).mean())
        ) - _log(float(np.abs(turned[1] - turned[2]).mean()))
    corners = {
        "top left": luma[:2, :2],
        "top right": luma[:2, -2:],
        "bottom left": luma[-2:, :2],
        "bottom right": luma[-2:, -2:],
    }
    return figures | {f"corner, {name}": float(part.max() - part.min()) for name, part in corners.items()}


def _log(value: float) -> float:
    return math.log(max(value, 1e-3))
