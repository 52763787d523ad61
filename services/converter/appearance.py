"""Compares the look of a swapped face with the target's: how sharp it is, and whether its border shows."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from services.converter.composite import Patch

__all__ = ["Appearance", "colour_step", "gradient", "sharpness"]

# Every eighth swapped frame is looked at, which takes less than 1 % of a conversion's time.
_EVERY = 8
# Pixels beside the mask that belong to its border, and that are not inside it.
_BORDER = 2
# Width, pixels, of the strips on both sides of the border whose colours are compared, in sectors around its centre.
_STRIP = 4
_SECTORS = 12
_MIN_PIXELS = 8
_MARGIN = _BORDER + _STRIP
_CROSS = np.ones((3, 3), np.uint8)

Picture = NDArray[np.uint8]


class Appearance:
    """Sums what is measured of fake and target over frames. Frames are uint8 [h, w, 3] BGR."""

    def __init__(self) -> None:
        self._frames = 0
        self._sharpness = np.zeros(2)
        self._border = np.zeros(2)
        self._steps: list[float] = []

    def add(self, target: Picture, output: Picture, patch: Patch) -> None:
        """Add a swapped frame.

        Args:
            target: The target's decoded frame.
            output: The frame that is written.
            patch: The pixels that replace the target's.
        """
        self._frames += 1
        if (self._frames - 1) % _EVERY:
            return
        mask = np.pad(patch.blend, _MARGIN)
        inner = _eroded(mask, _BORDER)
        if not inner.any():
            return
        ring = cv2.subtract(_dilated(mask, _BORDER), inner)
        pictures = [_padded(frame, patch) for frame in (output, target)]
        greys = [np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8) for picture in pictures]
        self._sharpness += [sharpness(grey, inner) for grey in greys]
        self._border += [gradient(grey, ring) for grey in greys]
        step = colour_step(pictures[0], pictures[1], mask)
        if step is not None:
            self._steps.append(step)

    def figures(self) -> dict[str, float]:
        """Return the figures so far; one is missing if the target has no detail there, or no frame was looked at.

        Returns:
            sharpness: Variance of the Laplacian inside the blend mask, divided by the target's there.
            seam: Mean gradient across the border of the blend mask, divided by the target's there.
            colour_step: As the function `colour_step` returns it, the mean over frames.
        """
        sums = {"sharpness": self._sharpness, "seam": self._border}
        figures = {name: round(float(made / real), 4) for name, (made, real) in sums.items() if real > 0}
        return figures | ({"colour_step": round(float(np.mean(self._steps)), 4)} if self._steps else {})


def sharpness(grey: Picture, mask: Picture) -> float:
    """Return the variance of the Laplacian of a picture, uint8 [h, w], where a mask, uint8 [h, w], is not 0."""
    return float(cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_32F), mask=mask)[1].item() ** 2)


def gradient(grey: Picture, mask: Picture) -> float:
    """Return the mean gradient of a picture, uint8 [h, w], where a mask, uint8 [h, w], is not 0."""
    magnitude = cv2.magnitude(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    return float(cv2.mean(magnitude, mask=mask)[0])


def colour_step(made: Picture, target: Picture, mask: Picture) -> float | None:
    """Measure the step in colour at a mask's border that the target does not have.

    Colours are means over strips of 4 pixels inside and outside the border, in 12 sectors around the mask's centre. So
    a face that is too light on one side and too dark on the other has a step too.

    Args:
        made: uint8 [h, w, 3] BGR, the fake around the mask.
        target: uint8 [h, w, 3] BGR, the target there.
        mask: uint8 [h, w], 255 where the face was put, else 0; its outermost 6 rows and columns are 0.

    Returns:
        Mean distance in the colour space CIELAB, 0 or more; 2.3 is just noticeable. None if the mask is too small.
    """
    inside = cv2.subtract(_eroded(mask, _BORDER), _eroded(mask, _MARGIN))
    outside = cv2.subtract(_dilated(mask, _MARGIN), _dilated(mask, _BORDER))
    centre = np.argwhere(mask).mean(axis=0) if mask.any() else np.zeros(2)
    (inner, inner_counts), (outer, outer_counts) = (
        _sector_colours((made, target), strip, centre) for strip in (inside, outside)
    )
    known = (inner_counts >= _MIN_PIXELS) & (outer_counts >= _MIN_PIXELS)
    if not known.any():
        return None
    steps = (inner - outer)[:, known]
    return float(np.linalg.norm(steps[0] - steps[1], axis=1).mean())


def _sector_colours(
    pictures: tuple[Picture, Picture], strip: Picture, centre: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the mean colours of a strip in CIELAB, float64 [2, 12, 3], and the numbers of its pixels, int64 [12]."""
    rows, columns = np.nonzero(strip)
    angles = np.arctan2(rows - centre[0], columns - centre[1])
    sectors = np.floor((angles + np.pi) / (2 * np.pi) * _SECTORS).astype(np.int64) % _SECTORS
    counts = np.bincount(sectors, minlength=_SECTORS)
    sums = [
        [np.bincount(sectors, picture[rows, columns, channel], _SECTORS) for channel in range(3)]
        for picture in pictures
    ]
    means = np.moveaxis(np.array(sums), 1, 2) / np.maximum(counts, 1)[:, None]
    return cv2.cvtColor((means / 255).astype(np.float32), cv2.COLOR_BGR2LAB).astype(np.float64), counts


def _eroded(mask: Picture, pixels: int) -> Picture:
    return np.asarray(cv2.erode(mask, _CROSS, iterations=pixels), np.uint8)


def _dilated(mask: Picture, pixels: int) -> Picture:
    return np.asarray(cv2.dilate(mask, _CROSS, iterations=pixels), np.uint8)


def _padded(frame: Picture, patch: Patch) -> Picture:
    """Return the region of a patch with a margin around it; pixels beyond the frame repeat its edge."""
    rows, columns = patch.region.slices
    top, left = max(0, rows.start - _MARGIN), max(0, columns.start - _MARGIN)
    part = frame[top : rows.stop + _MARGIN, left : columns.stop + _MARGIN]
    before = (_MARGIN - (rows.start - top), _MARGIN - (columns.start - left))
    height, width = patch.blend.shape
    missing = (height + 2 * _MARGIN - before[0] - part.shape[0], width + 2 * _MARGIN - before[1] - part.shape[1])
    whole = cv2.copyMakeBorder(part, before[0], missing[0], before[1], missing[1], cv2.BORDER_REPLICATE)
    return np.asarray(whole, np.uint8)
