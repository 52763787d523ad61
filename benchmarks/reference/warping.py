"""`cv2.warpAffine` of OpenCV 3.4.1 in plain NumPy: every point is rounded to 32nds of a pixel.

Points are (x, y) in pixels, pixel centres at integers; matrices are float64 [2, 3].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["invert", "warp_affine"]


def warp_affine(
    source: NDArray[Any],
    matrix: NDArray[np.float64],
    size: tuple[int, int],
    target: NDArray[Any] | None = None,
    *,
    inverse: bool = False,
) -> NDArray[Any]:
    """Warp a picture [h, w, ...].

    Args:
        source: The picture, uint8 or float64.
        matrix: Source to output, or output to source if `inverse`.
        size: Width and height of the output.
        target: The picture that stays visible outside the source (BORDER_TRANSPARENT); the kernel is then cubic.
            Without a target the kernel is linear, and the output is black outside the source.
        inverse: Whether `matrix` maps output to source.
    """
    (a, b, x), (c, d, y) = matrix if inverse else invert(matrix)
    columns, rows = np.arange(size[0]), np.arange(size[1])[:, None]
    across, down = np.rint(a * columns * 1024).astype(int), np.rint(c * columns * 1024).astype(int)
    fine_x = (np.rint((b * rows + x) * 1024).astype(int) + 16 + across) >> 5
    fine_y = (np.rint((d * rows + y) * 1024).astype(int) + 16 + down) >> 5
    if target is None:
        return _read(source, fine_x, fine_y)
    height, width = source.shape[:2]
    shows = (fine_x >> 5 >= 0) & (fine_x >> 5 < width) & (fine_y >> 5 >= 0) & (fine_y >> 5 < height)
    output = target.copy()
    output[shows] = _read_cubic(source, fine_x[shows], fine_y[shows])
    return output


def invert(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse of an affine map."""
    return np.asarray(np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2], np.float64)


def _read(source: NDArray[Any], x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    height, width = source.shape[:2]
    total = np.zeros(x.shape + source.shape[2:])
    for right, weight_x in ((0, 32 - (x & 31)), (1, x & 31)):
        for down, weight_y in ((0, 32 - (y & 31)), (1, y & 31)):
            column, row = (x >> 5) + right, (y >> 5) + down
            weight = weight_x * weight_y * ((column >= 0) & (column < width) & (row >= 0) & (row < height))
            total += _as(weight, total) * source[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    return _converted(total / 1024, source)


def _read_cubic(source: NDArray[Any], x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    total = np.zeros(x.shape + source.shape[2:])
    for right, weight_x in enumerate(_cubic((x & 31) / 32), -1):
        for down, weight_y in enumerate(_cubic((y & 31) / 32), -1):
            column, row = _mirrored((x >> 5) + right, source.shape[1]), _mirrored((y >> 5) + down, source.shape[0])
            total += _as(weight_x * weight_y, total) * source[row, column]
    return _converted(total, source)


def _cubic(fraction: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the weights of the four taps around points; the free parameter is -0.75."""
    near = [np.abs(fraction - place) for place in (-1, 0, 1, 2)]
    inner = [(1.25 * distance - 2.25) * distance**2 + 1 for distance in near]
    outer = [((-0.75 * distance + 3.75) * distance - 6) * distance + 3 for distance in near]
    return [outer[0], inner[1], inner[2], outer[3]]


def _mirrored(index: NDArray[Any], count: int) -> NDArray[Any]:
    """Mirror indices at the outermost pixels (BORDER_REFLECT_101)."""
    return np.asarray((count - 1) - np.abs((count - 1) - np.abs(index)))


def _as(weight: NDArray[Any], pixels: NDArray[Any]) -> NDArray[Any]:
    return weight.reshape(weight.shape + (1,) * (pixels.ndim - weight.ndim))


def _converted(values: NDArray[np.float64], source: NDArray[Any]) -> NDArray[Any]:
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8) if source.dtype == np.uint8 else values
