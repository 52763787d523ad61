"""Least-squares similarity between point sets, closed form in two dimensions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["similarity"]


def similarity(source: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """Find the rotation, uniform scale and shift that bring `source` nearest to `target`.

    Convention: points are (x, y); the matrix maps source to target, `target ~ matrix[:, :2] @ point + matrix[:, 2]`.
    The result is Umeyama's (1991) similarity without reflection. In the plane, with points as complex numbers, it is
    the least-squares fit of `target = a * source + b`, which needs no singular value decomposition.

    Args:
        source: Points [..., n, 2], n >= 2; leading axes are independent sets.
        target: Points of the same n; leading axes broadcast.

    Returns:
        float64 [..., 2, 3]; all NaN for a set whose source points are all the same.

    Raises:
        ValueError: the shapes are not point sets of equal length.
    """
    moved = np.asarray(source, dtype=np.float64)
    fixed = np.asarray(target, dtype=np.float64)
    if moved.ndim < 2 or fixed.ndim < 2 or moved.shape[-1] != 2 or moved.shape[-2:] != fixed.shape[-2:]:
        raise ValueError(f"Expected two point sets [..., n, 2]. Received shapes {moved.shape} and {fixed.shape}.")
    moved_mean = moved.mean(axis=-2, keepdims=True)
    fixed_mean = fixed.mean(axis=-2, keepdims=True)
    u = (moved - moved_mean) @ np.array([1, 1j])
    v = (fixed - fixed_mean) @ np.array([1, 1j])
    spread = (u.real**2 + u.imag**2).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        a = (u.conj() * v).sum(axis=-1) / np.where(spread > 0, spread, np.nan)
    linear = np.stack([np.stack([a.real, -a.imag], -1), np.stack([a.imag, a.real], -1)], -2)
    shift = np.swapaxes(fixed_mean, -1, -2) - linear @ np.swapaxes(moved_mean, -1, -2)
    return np.concatenate([linear, shift], axis=-1)
