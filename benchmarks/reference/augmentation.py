"""FF++'s random similarity and random warp of one face, in float64; the random choices are arguments.

Points are (x, y) in pixels of the 256x256 crop, pixel centres at integers. For float64 pictures OpenCV 5 still rounds
points to 32nds of a pixel; OpenCV 3.4.1 does so for pictures of every type.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.reference.extraction import umeyama

__all__ = ["Draw", "make_pair", "random_transform", "random_warp"]

_SIZE = 256
_COVERAGE = 160


class Draw(NamedTuple):
    """The random choices of one sample.

    Attributes:
        rotation: Degrees, counter-clockwise.
        scale: Zoom factor.
        shift: Shift (x, y), pixels.
        flip: Whether to mirror left and right after the similarity.
        jitter: Displacement (x, y) of the warp's grid points by row and column, [5, 5, 2], pixels.
    """

    rotation: float
    scale: float
    shift: Any
    flip: bool
    jitter: NDArray[Any]


def make_pair(face: NDArray[np.uint8], draw: Draw, size: int = 64) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Make a training pair from a crop, uint8 [256, 256, 3].

    Returns:
        (warped input, unwarped target), each float64 [size, size, 3] in [0, 1].
    """
    return random_warp(random_transform(face / 255.0, draw), draw, size)


def random_transform(picture: NDArray[np.float64], draw: Draw) -> NDArray[np.float64]:
    """Rotate, zoom and shift a picture, float64 [256, 256, 3], then mirror it; border pixels are replicated."""
    matrix = cv2.getRotationMatrix2D((_SIZE // 2, _SIZE // 2), float(draw.rotation), float(draw.scale))
    matrix[:, 2] += draw.shift
    moved = cv2.warpAffine(picture, matrix, (_SIZE, _SIZE), borderMode=cv2.BORDER_REPLICATE)
    return np.array(moved[:, ::-1] if draw.flip else moved, np.float64)


def random_warp(
    picture: NDArray[np.float64], draw: Draw, size: int = 64
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Warp the picture along a jittered grid, and warp it by the similarity that fits the same grid best.

    Args:
        picture: float64 [256, 256, 3].
        draw: The random choices, of which `jitter` is used.
        size: Width and height of the results, pixels; 64 in FF++.

    Returns:
        (input, target) of the network, each float64 [size, size, 3].
    """
    line = np.linspace(_SIZE // 2 - _COVERAGE // 2, _SIZE // 2 + _COVERAGE // 2, 5)
    grid = np.stack(np.meshgrid(line, line), axis=-1) + draw.jitter
    whole, rim = size * 5 // 4, size // 8
    maps = [
        cv2.resize(np.ascontiguousarray(grid[..., axis]), (whole, whole))[rim:-rim, rim:-rim].astype("float32")
        for axis in (0, 1)
    ]
    warped = cv2.remap(picture, maps[0], maps[1], cv2.INTER_LINEAR)
    regular = np.stack(np.meshgrid(range(0, size + 1, size // 4), range(0, size + 1, size // 4)), axis=-1)
    matrix = umeyama(grid.reshape(-1, 2), regular.reshape(-1, 2).astype(np.float64))
    return np.asarray(warped, np.float64), np.asarray(cv2.warpAffine(picture, matrix, (size, size)), np.float64)
