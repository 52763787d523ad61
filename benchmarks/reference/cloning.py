"""`cv2.seamlessClone` of OpenCV 3.4.1 with NORMAL_CLONE, written again in float64: the clone that FF++ called.

The versions differ in the rectangle and the mask's erosion, so today's function cannot be used in its place.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Rectangle", "clone"]

Frame = NDArray[np.uint8]
Rectangle = tuple[int, int, int, int]
"""x, y, width, height."""

_SMALLEST = 3
_EROSION = np.ones((7, 7), np.uint8)


def clone(source: Frame, target: Frame, levels: Frame, box: Rectangle) -> Frame | None:
    """Clone a part of one frame into another.

    Args:
        source: uint8 [h, w, 3] BGR.
        target: uint8 [h, w, 3] BGR; not changed.
        levels: uint8 [h, w], the mask of the source.
        box: Rectangle around the pixels of 255, without its last row and column.

    Returns:
        uint8 [h, w, 3]: the target, changed within the box without its outermost pixels; None if no pixel of
        the box is inside.
    """
    x, y, width, height = box
    if min(width, height) < _SMALLEST:
        return None
    rows, columns = slice(y, y + height), slice(x, x + width)
    share = cv2.erode(levels, _EROSION)[rows, columns, None] / 255.0
    new, old = source[rows, columns].astype(np.float64), target[rows, columns].astype(np.float64)
    across = share * _forward(new, 1) + (1 - share) * _forward(old, 1)
    down = share * _forward(new, 0) + (1 - share) * _forward(old, 0)
    laplacian = across[1:-1, 1:-1] - across[1:-1, :-2] + down[1:-1, 1:-1] - down[:-2, 1:-1]
    # The outermost pixels are known.
    laplacian[0] -= old[0, 1:-1]
    laplacian[-1] -= old[-1, 1:-1]
    laplacian[:, 0] -= old[1:-1, 0]
    laplacian[:, -1] -= old[1:-1, -1]
    output = target.copy()
    # Fractions are cut; 1e-6 is what sums of whole levels may lack.
    output[rows, columns][1:-1, 1:-1] = np.clip(np.floor(_solved(laplacian) + 1e-6), 0, 255)
    return output


def _forward(picture: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Differences to the next pixel; those of the last pixels are 0."""
    return np.diff(picture, axis=axis, append=picture.take([-1], axis))


def _solved(laplacian: NDArray[np.float64]) -> NDArray[np.float64]:
    """The picture [h, w, c] with this Laplacian, 0 beyond its pixels: both axes in sines."""
    (down, vertical), (across, horizontal) = (_sines(count) for count in laplacian.shape[:2])
    planes = np.moveaxis(laplacian, 2, 0)
    spectrum = (down @ planes @ across) / (vertical[:, None] + horizontal)
    return np.moveaxis(down @ spectrum @ across, 0, 2)


def _sines(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Orthonormal eigenvectors [n, n] of second differences, a symmetric matrix, and their eigenvalues [n]."""
    numbers = np.arange(1, count + 1)
    angle = np.pi / (count + 1)
    return np.sqrt(2 / (count + 1)) * np.sin(angle * np.outer(numbers, numbers)), 2 * np.cos(angle * numbers) - 2
