"""Solve Poisson's equation on a rectangle exactly: a sine transform along one axis, elimination along the other.

Up to a few hundred pixels, multiplying with the matrix of sines is as fast as a fast transform of a convenient size,
and it is that fast for every size. Half of the product is saved because every sine is symmetric or antisymmetric
about the middle.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["solve"]

# The size of a face changes slowly, so a sequence needs tables of few heights.
_CACHED_HEIGHTS = 16

# Tables are made for widths rounded up to a multiple of this, so that a table serves several widths.
_WIDTH_STEP = 64


def solve(laplacian: NDArray[np.float32]) -> NDArray[np.float32]:
    """Find the picture that has a given Laplacian and is surrounded by zeros.

    The Laplacian of a pixel is the sum of its four neighbours minus four times the pixel. Neighbours outside the
    picture are 0.

    Args:
        laplacian: float32 [h, w, c]; not changed.

    Returns:
        The picture, float32 [h, w, c].
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
    factors = _factors(height, channels, -(-width // _WIDTH_STEP) * _WIDTH_STEP)
    _eliminate(spectrum.reshape(width, channels * height), factors)

    picture = np.empty_like(rows)
    even = np.matmul(sines.symmetric, spectrum[:, :modes].T, out=folded)
    odd = sines.antisymmetric @ spectrum[:, modes:].T
    np.add(even[:half], odd, out=picture[:half])
    picture[half : height - half] = even[half:]
    np.subtract(even[:half], odd, out=picture[::-1][:half])
    return picture.reshape(laplacian.shape)


class _Sines(NamedTuple):
    """The orthonormal sines on n points that are 0 outside. Each vector is determined by its first half.

    Attributes:
        symmetric: float32 [(n + 1) // 2, (n + 1) // 2], point by sine; the middle point of an odd n is the last.
        antisymmetric: float32 [n // 2, n // 2].
    """

    symmetric: NDArray[np.float32]
    antisymmetric: NDArray[np.float32]


@lru_cache(_CACHED_HEIGHTS)
def _sines(count: int) -> _Sines:
    turn = 2 * (count + 1)
    values = np.sin(np.arange(turn) * (2 * np.pi / turn)) * np.sqrt(4 / turn)
    points, numbers = np.arange(1, (count + 1) // 2 + 1), np.arange(1, count + 1)
    matrix = values.astype(np.float32)[np.outer(points, numbers) % turn]
    return _Sines(
        np.ascontiguousarray(matrix[:, 0::2]),
        np.ascontiguousarray(matrix[: count // 2, 1::2]),
    )


@lru_cache(_CACHED_HEIGHTS)
def _factors(height: int, channels: int, width: int) -> NDArray[np.float32]:
    """Return reciprocal pivots, float32 [width, channels * height]; heights in the order of `_Sines`, symmetric first.

    Along the other axis the coefficient x of a sine obeys x[i - 1] - d x[i] + x[i + 1] = f[i]. The pivots d,
    d - 1/d and so on have a closed form in the root r < 1 of r + 1/r = d.
    """
    numbers = np.concatenate([np.arange(1, height + 1, 2), np.arange(2, height + 1, 2)])
    diagonal = 4 - 2 * np.cos(np.pi * numbers / (height + 1))
    root = (diagonal - np.sqrt(diagonal**2 - 4)) / 2
    powers = np.exp(2 * np.arange(1, width + 2)[:, None] * np.log(root))
    return np.tile(((1 - powers[:-1]) / (1 - powers[1:]) * root).astype(np.float32), channels)


def _eliminate(columns: NDArray[np.float32], factors: NDArray[np.float32]) -> None:
    """Solve the tridiagonal system of every sine, in place, by Thomas's algorithm.

    Args:
        columns: float32 [width, n], the right-hand sides of each sine; they become the solutions.
        factors: float32 [width, n], the reciprocal pivots from `_factors`.
    """
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
