"""Computes the similarity transform (rotation, uniform scale, shift) that fits one set of points to another."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["similarity"]


def similarity(source: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """Compute the similarity transform from `source` to `target` with the least squared error.

    The transform is that of Umeyama (1991), without reflection. With points as complex numbers it is the
    least-squares fit of `target = a * source + b`, which needs no singular value decomposition.

    Args:
        source: [..., n, 2]: sets of n points (x, y), n >= 2.
        target: [..., n, 2]: the corresponding points; the leading axes broadcast with those of `source`.

    Returns:
        float64 [..., 2, 3]: `matrix[:, :2] @ point + matrix[:, 2]` maps a source point. All values are NaN if all
        source points of a set are equal.

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
