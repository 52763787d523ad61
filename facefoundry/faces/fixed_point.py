"""Affine maps of pixels in fixed point, as `cv2.warpAffine` read them until OpenCV 5.

FF++ pins OpenCV 3.4.1. Up to version 4.14, OpenCV rounded the points at which it read a picture to 32nds of a pixel.
OpenCV 5 no longer does, but its `cv2.remap` still reads fixed-point maps with the old weights. Bilinear pixels are
equal to those of 3.4.1 to the last bit, cubic pixels within a grey level.

Convention: points are (x, y) in pixels with pixel centres at integers; matrices are float64 [2, 3].
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Points", "affine_points", "inverted"]

# The terms of a row and of a column are rounded to 1024ths of a pixel, their sum is cut to 32nds after adding a half.
_TERM = 1024
_CUT = 32
_HALF = 16


class Points(NamedTuple):
    """The points at which `cv2.remap` reads a picture; the two fields are its arguments `map1` and `map2`.

    Attributes:
        whole: int16 [h, w, 2], the pixel (x, y) at or before each point.
        fraction: uint16 [h, w], how far the point lies beyond that pixel, in 32nds of a pixel: x + 32 * y.
    """

    whole: NDArray[np.int16]
    fraction: NDArray[np.uint16]

    def within(self, width: int, height: int) -> NDArray[np.uint8]:
        """Return uint8 [h, w]: 255 where the pixel `whole` lies inside a picture of the given size, else 0."""
        return np.asarray(cv2.inRange(self.whole, (0, 0), (width - 1, height - 1)), np.uint8)


def affine_points(matrix: NDArray[np.float64], left: int, top: int, width: int, height: int) -> Points:
    """Compute the point to which an affine map moves each pixel of a rectangle.

    Args:
        matrix: float64 [2, 3], maps pixels of the picture with the rectangle to points of the picture that is read.
        left: First column of the rectangle.
        top: First row of the rectangle.
        width: Number of columns of the rectangle.
        height: Number of rows of the rectangle.
    """
    columns, rows = np.arange(left, left + width), np.arange(top, top + height)
    x, y = (_coordinates(row, columns, rows) for row in matrix)
    return Points(*cv2.convertMaps(x, y, cv2.CV_16SC2))


def _coordinates(
    coefficients: NDArray[np.float64], columns: NDArray[np.int64], rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the x or the y of all points, float32 [h, w]: whole numbers of 32nds of a pixel."""
    across = np.rint(coefficients[0] * columns * _TERM)
    down = np.rint((coefficients[1] * rows + coefficients[2]) * _TERM) + (_HALF + across[0])
    # float32 holds the sums exactly up to 16,384 pixels: those of a column are small when counted from the first one.
    sums = np.add.outer(down.astype(np.float32), (across - across[0]).astype(np.float32))
    sums *= np.float32(_CUT / _TERM)
    np.floor(sums, out=sums)
    sums *= np.float32(1 / _CUT)
    return np.asarray(sums, np.float32)


def inverted(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse of an affine map, float64 [2, 3], computed in OpenCV's order; zeros if there is no inverse."""
    (a, b, x), (c, d, y) = matrix
    determinant = a * d - b * c
    scale = 1 / determinant if determinant else 0.0
    a, b, c, d = d * scale, -b * scale, -c * scale, a * scale
    return np.array([[a, b, -a * x - b * y], [c, d, -c * x - d * y]])
