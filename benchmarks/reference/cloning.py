"""`cv2.seamlessClone` of OpenCV 3.4.1 with NORMAL_CLONE, written again in float64: the clone that FF++ called.

Later versions of OpenCV choose another rectangle and erode the mask in another way, so their `seamlessClone` cannot be
used instead.
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
        uint8 [h, w, 3]: the target, changed inside the box except at the box's outermost pixels; None if the box has no
        other pixels.
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
    """Return the difference of each pixel to the next one along an axis; 0 for the last pixels."""
    return np.diff(picture, axis=axis, append=picture.take([-1], axis))


def _solved(laplacian: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the picture [h, w, c] with a given Laplacian that is surrounded by zeros, by sine transforms."""
    (down, vertical), (across, horizontal) = (_sines(count) for count in laplacian.shape[:2])
    planes = np.moveaxis(laplacian, 2, 0)
    spectrum = (down @ planes @ across) / (vertical[:, None] + horizontal)
    return np.moveaxis(down @ spectrum @ across, 0, 2)


def _sines(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (eigenvectors, eigenvalues), [n, n] and [n], of the matrix of second differences on n points."""
    numbers = np.arange(1, count + 1)
    angle = np.pi / (count + 1)
    return np.sqrt(2 / (count + 1)) * np.sin(angle * np.outer(numbers, numbers)), 2 * np.cos(angle * numbers) - 2
