"""FF++'s steps from detected faces and landmarks to the aligned crop of the subject, the person that is followed.

Points are (x, y) in frame pixels, with pixel centres at integers. Matrices are float64 [2, 3] and map frame pixels to
the mean face's unit square.
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
    """The rectangle of a detected face, in frame pixels."""

    left: float
    top: float
    right: float
    bottom: float


def whole_corners(corners: Corners) -> tuple[int, int, int, int]:
    """Truncate the rectangle's edges to whole pixels: left, top, right, bottom.

    The width is then the difference of two truncated numbers, so it may be one more than the truncated width.
    """
    return int(corners.left), int(corners.top), int(corners.right), int(corners.bottom)


def whole_points(points: NDArray[Any]) -> NDArray[np.int64]:
    """Truncate landmarks [68, 2] towards zero, also those to the left of the frame or above it."""
    return np.array([(int(x), int(y)) for x, y in points], np.int64)


class Tracker:
    """Chooses the subject among a frame's faces as FF++ does, with FF++'s mistakes.

    In the first frame it chooses the tallest face, and in later frames the face nearest to the last centre. As a centre
    it uses (left + right / 2, top + bottom / 2), because it reads right and bottom as if they were width and height.
    After a frame without a face it starts again with the tallest face.
    """

    def __init__(self) -> None:
        self._previous: tuple[float, float] | None = None

    def follow(self, faces: Sequence[Corners]) -> Corners | None:
        """Return the subject's face among the faces of the next frame; None if there are no faces."""
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
        """Return the point that FF++ uses as the centre of a face."""
        return face.left + 0.5 * face.right, face.top + 0.5 * face.bottom


def umeyama(source: NDArray[Any], target: NDArray[Any]) -> NDArray[np.float64]:
    """Fit the similarity that maps points `source` [n, 2] to `target` [n, 2] (Umeyama 1991, equations 38 to 42)."""
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    covariance = (target - target_mean).T @ (source - source_mean) / len(source)
    u, values, vt = np.linalg.svd(covariance)
    signs = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ np.diag(signs) @ vt
    scale = (values * signs).sum() / (source - source_mean).var(axis=0).sum()
    return np.column_stack([scale * rotation, target_mean - scale * rotation @ source_mean])


def face_matrix(landmarks: NDArray[Any], mean_face: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix that fits landmarks 17 to 67 of [68, 2] to the 51 points of the mean face."""
    return umeyama(np.asarray(landmarks, np.float64)[_FIRST_LANDMARK:], mean_face)


def crop(
    frame: NDArray[np.uint8], matrix: NDArray[np.float64], size: int = 256, padding: int = 48
) -> NDArray[np.uint8]:
    """Cut the training crop, uint8 [size, size, 3]: the unit square, with a margin of `padding` pixels on each side."""
    scaled = matrix * (size - 2 * padding)
    scaled[:, 2] += padding
    return np.asarray(warp_affine(frame, scaled, (size, size)), np.uint8)


def record(corners: Corners, landmarks: NDArray[Any]) -> dict[str, Any]:
    """Return the entry for a face in FF++'s alignments file."""
    left, top, right, bottom = whole_corners(corners)
    points = whole_points(landmarks).tolist()
    return {"r": 0, "x": left, "w": right - left, "y": top, "h": bottom - top, "landmarksXY": points}
