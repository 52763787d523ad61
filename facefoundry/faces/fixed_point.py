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

# The terms of a row and of a column are rounded to 1024ths of a pixel. Their sum is rounded to 32nds, halves upwards.
_TERM = 1024

# float32 holds halves of 1024ths up to 8,192 pixels, so points are counted from the nearest multiple of fewer pixels.
_FAR = 4096


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
    places = np.arange(max(width, height))
    if left or top:
        places = np.add.outer((left, left, top, top), places)
    # Terms of columns, x and y, then terms of rows, x and y.
    terms = matrix[:, :2].T.reshape(4, 1) * places
    terms[2:] += matrix[:, 2:]
    terms *= _TERM
    np.rint(terms, out=terms)
    first = terms[:2, :1].copy()
    terms[:2] -= first
    # `cv2.convertMaps` rounds halves to even numbers; half a 1024th more makes it round them upwards.
    terms[2:] += first + 0.5
    far = [(term / _TERM + _FAR / 2) // _FAR * _FAR for term in terms[2:, 0].tolist()]
    if any(far):
        terms[2:] -= np.array(far)[:, None] * _TERM
    whole, fraction = cv2.convertMaps(_sums(terms[:2, :width], terms[2:, :height]), None, cv2.CV_16SC2)
    if any(far):
        whole = cv2.add(whole, (*far, 0, 0))
    return Points(np.asarray(whole, np.int16), np.asarray(fraction, np.uint16))


def _sums(across: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.float32]:
    """Add terms of columns [2, w] and of rows [2, h], in 1024ths; return points in pixels, float32 [h, w, 2].

    A product of matrices does it faster than additions, and as exactly: of its addends only these two are not 0.
    """
    left = np.full((3, down.shape[1]), 1 / _TERM, np.float32)
    left[:2] = down
    right = np.zeros((3, across.shape[1], 2), np.float32)
    right[0, :, 0] = right[1, :, 1] = 1 / _TERM
    right[2] = across.T
    return np.asarray((left.T @ right.reshape(3, -1)).reshape(down.shape[1], -1, 2))


def inverted(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse of an affine map, float64 [2, 3], computed in OpenCV's order; zeros if there is no inverse."""
    (a, b, x), (c, d, y) = matrix.tolist()
    determinant = a * d - b * c
    scale = 1 / determinant if determinant else 0.0
    a, b, c, d = d * scale, -b * scale, -c * scale, a * scale
    return np.array([[a, b, -a * x - b * y], [c, d, -c * x - d * y]])
