"""Measures of landmarks: how much they jitter, how far two of them are apart, and whose they are.

Landmarks of a clip are float64 [n, 68, 2], (x, y) in frame pixels; a frame without a face is NaN. Distances are divided
by the distance between the middles of the eyes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["INNER", "NOBODY", "distances", "eye_distance", "is_found", "jitter", "whose"]

Points = NDArray[np.float64]

INNER = slice(17, 68)
"""The landmarks without the jaw: brows, nose, eyes and mouth, to which a crop is aligned."""

NOBODY = ""
"""The name in `whose` of a frame without a face, or whose face is nobody's."""

_NEAR = 1.0


def is_found(points: Points) -> NDArray[np.bool_]:
    """Return for each frame, bool [n], whether it has a face."""
    return np.asarray(np.isfinite(points).all(axis=(1, 2)), np.bool_)


def eye_distance(points: Points) -> NDArray[np.float64]:
    """Return the distance between the middles of the two eyes in each frame, pixels, float64 [n]."""
    return np.asarray(np.linalg.norm(points[:, 36:42].mean(axis=1) - points[:, 42:48].mean(axis=1), axis=1), np.float64)


def distances(points: Points, truth: Points, which: slice = INNER) -> NDArray[np.float64]:
    """Return the mean distance of each frame's landmarks from the true ones, in eye distances of the truth.

    Args:
        points: Landmarks.
        truth: Landmarks of as many frames.
        which: The landmarks that are compared.

    Returns:
        float64 [n]; NaN where one of the two has no face.
    """
    apart = np.linalg.norm(points[:, which] - truth[:, which], axis=2).mean(axis=1)
    return np.asarray(apart / eye_distance(truth), np.float64)


def jitter(points: Points) -> float:
    """Return how much landmarks jitter: the size of their second difference from frame to frame, in eye distances.

    It is the mean over the landmarks of a frame, and the median over the frames. A face that moves at a constant speed
    has 0. Frames next to a frame without a face do not count; NaN if none is left.
    """
    second = points[2:] - 2 * points[1:-1] + points[:-2]
    sizes = np.linalg.norm(second, axis=2).mean(axis=1) / eye_distance(points[1:-1])
    measured = sizes[np.isfinite(sizes)]
    return float(np.median(measured)) if len(measured) else float("nan")


def whose(points: Points, people: Mapping[str, Points]) -> list[str]:
    """Return for each frame the name of the person whose landmarks are nearest.

    Args:
        points: Landmarks.
        people: The landmarks of every person, NaN in frames in which the person cannot be seen.

    Returns:
        Names; `NOBODY` for a frame without a face, or whose face is an eye distance or more from everybody's.
    """
    apart = np.array([distances(points, truth) for truth in people.values()])
    apart = np.where(np.isfinite(apart), apart, np.inf)
    names = list(people)
    return [names[int(column.argmin())] if column.min() < _NEAR else NOBODY for column in apart.T]
