"""Measures how far faces are tilted and how steady their landmarks are, and turns faces upright."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from services.extractor.boxes import Box

__all__ = ["apart", "tilt", "upright"]


def apart(points: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return the mean distance between two predictions of landmarks, float32 [68, 2], in distances between the eyes."""
    across, down = _between_eyes(points)
    x, y = (points - second).T
    return float(np.sqrt(x * x + y * y).sum()) / len(points) / max(math.hypot(across, down), 1.0)


def tilt(landmarks: NDArray[np.float32]) -> float:
    """Return the angle of the line through the eyes, degrees; positive if the right end is lower."""
    across, down = _between_eyes(landmarks)
    return math.degrees(math.atan2(down, across))


def _between_eyes(landmarks: NDArray[np.float32]) -> tuple[float, float]:
    """Return how far the centre of the eye at the right of the picture lies right of, and below, that of the other."""
    (left_x, left_y), (right_x, right_y) = landmarks[36:48].reshape(2, 6, 2).sum(axis=1).tolist()
    return (right_x - left_x) / 6, (right_y - left_y) / 6


def upright(
    gray: NDArray[np.uint8], box: Box, angle: float, margin: float = 1.0
) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.float64]]:
    """Cut a face out, turned upright.

    Args:
        gray: uint8 [h, w].
        box: The face's box, float64 [4].
        angle: Angle of the line through the eyes, degrees.
        margin: What is cut out beyond the box on each side, in widths and heights of the box.

    Returns:
        (picture, box, matrix): uint8 [h, w], the box in it, and the matrix float64 [2, 3] from its
        points to those of `gray`.
    """
    width, height = (max(1, round(side)) for side in box[2:])
    turn = cv2.getRotationMatrix2D((box[0] + box[2] / 2, box[1] + box[3] / 2), angle, 1.0)
    left, top = round(margin * width), round(margin * height)
    turn[:, 2] -= box[:2] - (left, top)
    picture = cv2.warpAffine(gray, turn, (width + 2 * left, height + 2 * top), flags=cv2.INTER_LINEAR)
    inside = np.array([left, top, width, height], dtype=np.float64)
    return np.asarray(picture, dtype=np.uint8), inside, np.asarray(cv2.invertAffineTransform(turn), dtype=np.float64)
