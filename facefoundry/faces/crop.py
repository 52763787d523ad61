"""Computes the matrix that aligns a face from its landmarks, and cuts the aligned square crop out of the frame.

Convention: points are (x, y) in pixels with pixel centres at integers; every matrix is float64 [2, 3] and maps frame
points to the target space.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from facefoundry.faces.fixed_point import affine_points, inverted
from facefoundry.faces.mean_face import FIRST_LANDMARK, MEAN_FACE
from facefoundry.faces.umeyama import similarity

__all__ = ["crop_matrix", "cut", "face_matrix", "is_usable"]

# Rows per call of `cv2.remap`, which derives the shape of its blocks from them; with this number it is fastest.
_STRIP = 64


def face_matrix(landmarks: ArrayLike) -> NDArray[np.float64]:
    """Fit landmarks 17 to 67 to the mean face.

    Args:
        landmarks: Points [..., 68, 2] in frame pixels.

    Returns:
        float64 [..., 2, 3], frame to the mean face's unit square; NaN where the landmarks coincide.

    Raises:
        ValueError: `landmarks` is not [..., 68, 2].
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape[-2:] != (68, 2):
        raise ValueError(f"Expected 68 landmarks [..., 68, 2]. Received shape {points.shape}.")
    return similarity(points[..., FIRST_LANDMARK:, :], MEAN_FACE)


def is_usable(matrix: NDArray[np.float64]) -> bool:
    """Return whether a face can be cut out with a matrix, float64 [2, 3] of `face_matrix`."""
    return bool(np.isfinite(matrix).all() and np.linalg.det(matrix[:, :2]) > 0)


def crop_matrix(matrix: ArrayLike, size: int, padding: int) -> NDArray[np.float64]:
    """Scale a face matrix so that the unit square becomes the central `size - 2 * padding` pixels of a crop.

    Args:
        matrix: float [..., 2, 3], frame to unit square.
        size: Side of the crop, pixels.
        padding: Margin on every side, pixels.

    Returns:
        float64 [..., 2, 3], frame to crop pixels.
    """
    scaled = np.asarray(matrix, dtype=np.float64) * (size - 2 * padding)
    scaled[..., 2] += padding
    return scaled


def cut(frame: NDArray[np.uint8], matrix: ArrayLike, size: int, padding: int) -> NDArray[np.uint8]:
    """Cut the aligned face out of a frame, bilinear as in OpenCV 3.4.1; pixels outside the frame are black.

    Args:
        frame: uint8 [h, w, 3], BGR.
        matrix: float [2, 3], frame to unit square, as `face_matrix` returns it.
        size: Side of the crop, pixels.
        padding: Margin around the mean-face square, pixels.

    Returns:
        uint8 [size, size, 3], BGR.
    """
    whole, fraction = affine_points(inverted(crop_matrix(matrix, size, padding)), 0, 0, size, size)
    crop = np.empty((size, size, 3), np.uint8)
    for top in range(0, size, _STRIP):
        rows = slice(top, top + _STRIP)
        cv2.remap(frame, whole[rows], fraction[rows], cv2.INTER_LINEAR, crop[rows])
    return crop
