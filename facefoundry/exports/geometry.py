"""Geometry of the forms: crops, points of consumers, and boxes. Pure functions on arrays."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facefoundry.faces.umeyama import similarity

__all__ = ["BENCH_SIZE", "bench_matrix", "bounds", "moved"]

BENCH_SIZE: Final = 256
"""Side of DeepfakeBench's crops, pixels."""

# Where DeepfakeBench puts an eye corner of either eye, the tip of the nose and two points of the mouth, in a square of
# 112 pixels, and the landmarks of these points.
_BENCH_POINTS: Final = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
_BENCH_LANDMARKS: Final = (37, 44, 30, 49, 55)
_BENCH_SQUARE: Final = 112
_BENCH_SCALE: Final = 1.3


def bench_matrix(landmarks: ArrayLike) -> NDArray[np.float64]:
    """Return the matrices that map frames to DeepfakeBench's crops.

    Args:
        landmarks: [..., 68, 2] in frame pixels.

    Returns:
        float64 [..., 2, 3], frame to crop pixels.
    """
    points = np.asarray(landmarks, np.float64)[..., _BENCH_LANDMARKS, :]
    square = _BENCH_POINTS * (BENCH_SIZE / _BENCH_SQUARE)
    margin = BENCH_SIZE * (_BENCH_SCALE - 1) / 2
    return similarity(points, (square + margin) / _BENCH_SCALE)


def moved(points: ArrayLike, matrix: ArrayLike) -> NDArray[np.float64]:
    """Return points [..., n, 2] after an affine matrix [..., 2, 3]."""
    given, affine = np.asarray(points, np.float64), np.asarray(matrix, np.float64)
    return given @ np.swapaxes(affine[..., :2], -1, -2) + affine[..., None, :, 2]


def bounds(points: ArrayLike) -> NDArray[np.float64]:
    """Return the box around points [..., n, 2] as its corners, float64 [..., 2, 2]: left top, right bottom."""
    given = np.asarray(points, np.float64)
    return np.stack([given.min(axis=-2), given.max(axis=-2)], axis=-2)
