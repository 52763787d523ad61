"""Gives a network's face the colours that the target's face has on a large scale; light and shade stay the network's.

A lamp beside the source colours one of its cheeks, and a decoder learns that. On the target, whose lamps are elsewhere,
it is a patch. With standardised colours it grows too: a channel that hardly varies on the source gets the deviation
that it has on the target.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["of_target"]

# Standard deviation of the Gaussian whose result is the large scale, in sides of the face: cheeks are larger, lips and
# eyes are not.
_LARGE: Final = 3 / 64
# Where less of the surroundings is face, the change fades out.
_FLOOR: Final = np.float32(1e-3)
# Shares of blue, green and red in the luma of ITU-R BT.601.
_LUMA: Final = np.array([0.114, 0.587, 0.299], np.float32)


def of_target(
    face: NDArray[np.float32], target: NDArray[np.uint8], landmarks: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Return a face with the large-scale colours of the target's, each pixel of the same luma as before.

    Args:
        face: float32 [s, s, 3] BGR, nominally in [0, 1], as the network made it.
        target: uint8 [s, s, 3] BGR, the target's aligned face.
        landmarks: Landmarks of the target's face, [68, 2], (x, y) in pixels of `target`. What lies outside their hull
            is background or hair, and counts for nothing.

    Returns:
        float32 [s, s, 3] BGR; values may lie outside [0, 1].
    """
    size = len(face)
    weights = _hull(landmarks, size)
    change = target * np.float32(1 / 255) - face
    blurred, share = (_large_scale(picture, size) for picture in (change * weights[:, :, None], weights))
    large = blurred / np.maximum(share, _FLOOR)[:, :, None]
    return np.asarray(face + large - (large @ _LUMA)[:, :, None], np.float32)


def _hull(landmarks: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    """Return where the face is, float32 [size, size], 0 or 1."""
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.rint(cv2.convexHull(landmarks.astype(np.float32))).astype(np.int32)], 1)
    return mask.astype(np.float32)


def _large_scale(picture: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), _LARGE * size), np.float32)
