"""FF++'s way from detected corners and landmarks to the subject's aligned crop.

Points are (x, y) in frame pixels, pixel centres at integers; matrices are float64 [2, 3] and map frame points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.reference.warping import warp_affine

__all__ = ["Corners", "Tracker", "crop", "face_matrix", "record", "umeyama", "whole_corners", "whole_points"]

_FIRST_LANDMARK = 17


class Corners(NamedTuple):
    """A detected face's rectangle."""

    left: float
    top: float
    right: float
    bottom: float


def whole_corners(corners: Corners) -> tuple[int, int, int, int]:
    """Cut the fractions off all four corners; left, top, right, bottom.

    Width and height are differences of whole corners, so they may be one more than the whole part of the difference.
    """
    return int(corners.left), int(corners.top), int(corners.right), int(corners.bottom)


def whole_points(points: NDArray[Any]) -> NDArray[np.int64]:
    """Cut the fractions off landmarks [68, 2]; towards zero, also left and above of the frame."""
    return np.array([(int(x), int(y)) for x, y in points], np.int64)


class Tracker:
    """FF++'s single-subject rule, with its mistakes.

    It takes the tallest face first, and afterwards the one nearest to the last centre. It takes (left + right / 2,
    top + bottom / 2) for a centre, as it reads corners as if they were x, y, width and height. A frame without a face
    fails, and the rule starts again.
    """

    def __init__(self) -> None:
        self._previous: tuple[float, float] | None = None

    def follow(self, faces: Sequence[Corners]) -> Corners | None:
        """Return the subject among the next frame's faces; None without faces."""
        if not faces:
            self._previous = None
            return None
        if self._previous is None:
            chosen = max(faces, key=lambda face: face.bottom - face.top)
        else:
            last = self._previous
            chosen = min(faces, key=lambda face: np.hypot(*np.subtract(self.centre(face), last)))
        self._previous = self.centre(chosen)
        return chosen

    @staticmethod
    def centre(face: Corners) -> tuple[float, float]:
        """Return what FF++ takes for the centre of a face."""
        return face.left + 0.5 * face.right, face.top + 0.5 * face.bottom


def umeyama(source: NDArray[Any], target: NDArray[Any]) -> NDArray[np.float64]:
    """Umeyama (1991), equations 38 to 42, by numpy's singular values: the similarity from source to target [n, 2]."""
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    covariance = (target - target_mean).T @ (source - source_mean) / len(source)
    u, values, vt = np.linalg.svd(covariance)
    signs = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ np.diag(signs) @ vt
    scale = (values * signs).sum() / (source - source_mean).var(axis=0).sum()
    return np.column_stack([scale * rotation, target_mean - scale * rotation @ source_mean])


def face_matrix(landmarks: NDArray[Any], mean_face: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit landmarks 17 to 67 of [68, 2] to the 51 points of the mean face; frame to unit square."""
    return umeyama(np.asarray(landmarks, np.float64)[_FIRST_LANDMARK:], mean_face)


def crop(
    frame: NDArray[np.uint8], matrix: NDArray[np.float64], size: int = 256, padding: int = 48
) -> NDArray[np.uint8]:
    """Cut the training crop, uint8 [size, size, 3]: the unit square becomes all but a margin of `padding` pixels."""
    scaled = matrix * (size - 2 * padding)
    scaled[:, 2] += padding
    return np.asarray(warp_affine(frame, scaled, (size, size)), np.uint8)


def record(corners: Corners, landmarks: NDArray[Any]) -> dict[str, Any]:
    """Return a face as FF++'s alignments file records it."""
    left, top, right, bottom = whole_corners(corners)
    points = whole_points(landmarks).tolist()
    return {"r": 0, "x": left, "w": right - left, "y": top, "h": bottom - top, "landmarksXY": points}
