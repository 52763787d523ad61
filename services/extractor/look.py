"""Describes the look of a face in one frame: size, pose, skin, and a small picture."""

from __future__ import annotations

import base64
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from services.extractor.functions import SampledFace
from services.extractor.tracking import Frame

__all__ = ["PICTURE", "face_look", "pose"]

PICTURE: Final = 64
"""Side of the picture of a face, pixels."""

# Side of the picture, in sides of the box, and of a patch of skin, in distances between the eyes.
_MARGIN: Final = 1.4
_PATCH: Final = 0.25

Point = NDArray[np.float64]


def face_look(frame: Frame, box: NDArray[np.float64], landmarks: NDArray[np.float32] | None) -> SampledFace:
    """Describe a face.

    Args:
        frame: uint8 [h, w, 3], BGR.
        box: x, y, width and height in pixels, float64 [4].
        landmarks: 68 points, float32 [68, 2]; None if the engine predicts none.
    """
    x, y, width, height = (float(value) for value in box)
    centre = np.array([x + width / 2, y + height / 2])
    points = None if landmarks is None else np.asarray(landmarks, np.float64)
    yaw, pitch = pose(points) if points is not None else (None, None)
    if points is None:
        spots, side = [centre], width / 4
    else:  # between the sides of the nose and of the jaw
        spots = [(points[2] + points[31]) / 2, (points[14] + points[35]) / 2]
        side = _PATCH * float(np.linalg.norm(points[42:48].mean(axis=0) - points[36:42].mean(axis=0)))
    colour = np.mean([_square(frame, spot, side).mean(axis=(0, 1)) for spot in spots], axis=0)
    lab = cv2.cvtColor((colour[None, None] / 255).astype(np.float32), cv2.COLOR_BGR2LAB)[0, 0]
    picture = cv2.resize(_square(frame, centre, _MARGIN * max(width, height)), (PICTURE, PICTURE))
    rgb = np.ascontiguousarray(picture[:, :, ::-1])
    skin = (float(lab[0]), float(lab[1]), float(lab[2]))
    return SampledFace(width, height, yaw, pitch, skin, base64.b64encode(rgb.tobytes()).decode())


def pose(landmarks: NDArray[np.float64]) -> tuple[float, float]:
    """Return yaw and pitch of a face, along and across the line of its eyes, however it is tilted.

    Args:
        landmarks: 68 points, float64 [68, 2].

    Returns:
        Yaw: where the tip of the nose is between the sides of the face, 0 in the middle, -1 and 1 at a side.
        Pitch: where it is between the eyes, 0, and the mouth, 1. Both are 0 for points that are no face.
    """
    left, right = landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)
    distance = float(np.linalg.norm(right - left))
    if not distance > 0:
        return 0.0, 0.0
    along = (right - left) / distance
    across = np.array([-along[1], along[0]])
    nose, eyes, mouth = landmarks[30], (left + right) / 2, landmarks[48:68].mean(axis=0)
    before, after = float((nose - landmarks[0]) @ along), float((landmarks[16] - nose) @ along)
    height = float((mouth - eyes) @ across)
    yaw = (before - after) / (before + after) if before + after > 0 else 0.0
    pitch = float((nose - eyes) @ across) / height if height > 0 else 0.0
    return float(np.clip(yaw, -1, 1)), float(np.clip(pitch, -1, 2))


def _square(frame: Frame, centre: Point, side: float) -> Frame:
    """Return a square of a frame; outside, the pixels of its edge are repeated."""
    size = max(1, round(side))
    square = cv2.getRectSubPix(frame, (size, size), (float(centre[0]), float(centre[1])))
    return np.asarray(square, dtype=np.uint8)
