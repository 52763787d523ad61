"""Poisson's equation on a rectangle, solved exactly: sines along one axis, an elimination for each along the other.

On up to a few hundred pixels a product with the sines' matrix is as fast as a fast transform that meets a convenient
size, and does not depend on meeting one. Half of that product is saved because every sine is symmetric or
antisymmetric about the middle.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["solve"]

# Faces drift in size, so a sequence meets a few heights again and again.
_HEIGHTS = 16

# Widths are rounded up to it, so that one table serves several.
_WIDTHS = 64


def solve(laplacian: NDArray[np.float32]) -> NDArray[np.float32]:
    """Find the picture that has a Laplacian and is 0 all around.

    The Laplacian of a pixel is the sum of its four neighbours less four times the pixel; the neighbours beyond the rim
    are 0.

    Args:
        laplacian: float32 [h, w, c]; left as it is.

    Returns:
        float32 [h, w, c].
    """
    height, width, channels = laplacian.shape
    rows = laplacian.reshape(height, width * channels)
    sines = _sines(height)
    half, modes = height // 2, sines.symmetric.shape[1]
    top, bottom = rows[:half], rows[::-1][:half]
    folded = np.empty((height - half, width * channels), np.float32)
    np.add(top, bottom, out=folded[:half])
    folded[half:] = rows[half : height - half]

    spectrum = np.empty((width * channels, height), np.float32)
    np.matmul(folded.T, sines.symmetric, out=spectrum[:, :modes])
    np.matmul((top - bottom).T, sines.antisymmetric, out=spectrum[:, modes:])
    factors = _factors(height, channels, -(-width // _WIDTHS) * _WIDTHS)
    _eliminate(spectrum.reshape(width, channels * height), factors)

    picture = np.empty_like(rows)
    even = np.matmul(sines.symmetric, spectrum[:, :modes].T, out=folded)
    odd = sines.antisymmetric @ spectrum[:, modes:].T
    np.add(even[:half], odd, out=picture[:half])
    picture[half : height - half] = even[half:]
    np.subtract(even[:half], odd, out=picture[::-1][:half])
    return picture.reshape(laplacian.shape)


class _Sines(NamedTuple):
    """The orthonormal sines on n points that are 0 beyond them, of which each half tells the other.

    Attributes:
        symmetric: float32 [(n + 1) // 2, (n + 1) // 2], point by sine; the middle point of an odd n is the last.
        antisymmetric: float32 [n // 2, n // 2].
    """

    symmetric: NDArray[np.float32]
    antisymmetric: NDArray[np.float32]


@lru_cache(_HEIGHTS)
def _sines(count: int) -> _Sines:
    turn = 2 * (count + 1)
    values = np.sin(np.arange(turn) * (2 * np.pi / turn)) * np.sqrt(4 / turn)
    points, numbers = np.arange(1, (count + 1) // 2 + 1), np.arange(1, count + 1)
    matrix = values.astype(np.float32)[np.outer(points, numbers) % turn]
    return _Sines(
        np.ascontiguousarray(matrix[:, 0::2]),
        np.ascontiguousarray(matrix[: count // 2, 1::2]),
    )


@lru_cache(_HEIGHTS)
def _factors(height: int, channels: int, width: int) -> NDArray[np.float32]:
    """Reciprocal pivots, float32 [width, channels * height]; heights are in the order of `_Sines`, symmetric first.

    Along the other axis a sine's share x of the picture obeys x[i - 1] - d x[i] + x[i + 1] = f[i]. The pivots d,
    d - 1/d and so on have a closed form in the root r < 1 of r + 1/r = d.
    """
    numbers = np.concatenate([np.arange(1, height + 1, 2), np.arange(2, height + 1, 2)])
    diagonal = 4 - 2 * np.cos(np.pi * numbers / (height + 1))
    root = (diagonal - np.sqrt(diagonal**2 - 4)) / 2
    powers = np.exp(2 * np.arange(1, width + 2)[:, None] * np.log(root))
    return np.tile(((1 - powers[:-1]) / (1 - powers[1:]) * root).astype(np.float32), channels)


def _eliminate(columns: NDArray[np.float32], factors: NDArray[np.float32]) -> None:
    """Solve for every sine along the first axis, in place: Thomas's algorithm, one column after the other."""
    np.negative(columns, out=columns)
    steps = list(zip(columns, factors, strict=False))
    before, factor = steps[0]
    np.multiply(before, factor, out=before)
    for column, factor in steps[1:]:
        np.add(column, before, out=column)
        np.multiply(column, factor, out=column)
        before = column
    share = np.empty_like(before)
    for column, factor in steps[-2::-1]:
        np.multiply(before, factor, out=share)
        np.add(column, share, out=column)
        before = column
