"""FF++'s conversion of one frame: every step on the whole frame, masks in float64 with three channels.

Points are (x, y) in frame pixels, with pixel centres at integers. Matrices are float64 [2, 3] and map frame pixels to
the mean face's unit square.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.reference.cloning import Rectangle, clone
from benchmarks.reference.warping import warp_affine

__all__ = [
    "Blend",
    "Rectangle",
    "blend",
    "box_of",
    "destination",
    "mask_levels",
    "paste",
    "patch",
    "put",
    "read_face",
    "soft_mask",
]

Frame = NDArray[np.uint8]

_PASTE = cv2.WARP_INVERSE_MAP | cv2.INTER_CUBIC


@dataclass(frozen=True)
class Blend:
    """A converted frame.

    Attributes:
        output: uint8 [h, w, 3] BGR; None if seamlessClone fails, because the rectangle that it writes has no inner
            pixel (OpenCV 3.4.1) or would leave the frame (OpenCV 5).
        soft: The blending mask, float64 [h, w, 3].
        box: FF++'s mask, uint8 [h, w] of 0 and 255.
        destination: Rectangle outside which seamlessClone changes no pixel.
    """

    output: Frame | None
    soft: NDArray[np.float64]
    box: Frame
    destination: Rectangle


def patch(
    frame: Frame,
    matrix: NDArray[np.float64],
    landmarks: NDArray[Any],
    network: Callable[[NDArray[np.float64]], NDArray[Any]],
    *,
    installed: bool = False,
) -> Blend | None:
    """Convert a frame with one face.

    Args:
        frame: uint8 [h, w, 3] BGR; not changed.
        matrix: Frame to the mean face's unit square.
        landmarks: [68, 2].
        network: Converts faces [n, 64, 64, 3] BGR in [0, 1] to the faces of the other side.
        installed: Whether to warp and clone with the installed OpenCV, as a benchmark of speed needs. Otherwise a NumPy
            version of OpenCV 3.4.1 is used, whose pixels are FF++'s.

    Returns:
        The frame with its masks; None if no pixel of the mask reaches 255.
    """
    face = network(read_face(frame, matrix, installed=installed)[None] / 255.0)[0]
    soft = soft_mask(frame.shape, matrix, landmarks, installed=installed)
    return put(frame, face, matrix, soft, installed=installed)


def read_face(frame: Frame, matrix: NDArray[np.float64], *, installed: bool = False) -> Frame:
    """Cut the mean-face square, uint8 [64, 64, 3]."""
    warp = cv2.warpAffine if installed else warp_affine
    return np.asarray(warp(frame, matrix * 64, (64, 64)), np.uint8)


def paste(
    face: NDArray[Any], frame: NDArray[Any], matrix: NDArray[np.float64], *, installed: bool = False
) -> NDArray[Any]:
    """Warp a face [64, 64, ...] onto a copy of its frame."""
    if installed:
        made = frame.copy()
        cv2.warpAffine(face, matrix * 64, frame.shape[1::-1], made, _PASTE, cv2.BORDER_TRANSPARENT)
        return made
    return warp_affine(face, matrix * 64, (frame.shape[1], frame.shape[0]), frame, inverse=True)


def soft_mask(
    shape: tuple[int, ...],
    matrix: NDArray[np.float64],
    landmarks: NDArray[Any],
    kind: str = "facehullandrect",
    erosion: int = 0,
    blur: int = 2,
    *,
    installed: bool = False,
) -> NDArray[np.float64]:
    """Return the blending mask.

    Args:
        shape: Shape of the frame, (h, w, 3).
        matrix: Frame to the mean face's unit square.
        landmarks: [68, 2].
        kind: `rect`, the square of the face; `facehull`, the hull of its landmarks; or the product of both.
        erosion: Diameter of the ellipse by which the mask is eroded, pixels. A negative number dilates it, 0 does
            nothing.
        blur: Width and height of the box blur's kernel, pixels; 0 for no blur.
        installed: As in `patch`.

    Returns:
        float64 [h, w, 3], about 0 to 1.
    """
    square, hull = paste(np.ones((64, 64, 3)), np.zeros(shape), matrix, installed=installed), np.zeros(shape)
    cv2.fillConvexPoly(hull, cv2.convexHull(np.asarray(landmarks).astype(int).astype(np.int32)), (1, 1, 1))
    mask = {"rect": square, "facehull": hull, "facehullandrect": square * hull}[kind]
    if erosion:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (abs(erosion), abs(erosion)))
        mask = cv2.erode(mask, kernel) if erosion > 0 else cv2.dilate(mask, kernel)
    return np.asarray(cv2.blur(mask, (blur, blur)) if blur else mask, np.float64)


def put(
    frame: Frame, face: NDArray[Any], matrix: NDArray[np.float64], soft: NDArray[np.float64], *, installed: bool = False
) -> Blend | None:
    """Warp a face [64, 64, 3] in [0, 1] onto its frame and clone it by a soft mask.

    Other arguments and the result are as in `patch`.
    """
    warped = paste(np.clip(face * 255, 0, 255).astype(np.uint8), frame, matrix, installed=installed)
    return blend(frame, warped, soft, installed=installed)


def blend(frame: Frame, warped: Frame, soft: NDArray[np.float64], *, installed: bool = False) -> Blend | None:
    """Clone a face, which `paste` has put on its frame, by a soft mask.

    Other arguments and the result are as in `patch`.
    """
    unit = mask_levels(soft)
    found = box_of(unit)
    if found is None:
        return None
    left, top, width, height = found
    centre = (left + width // 2, top + height // 2)
    box = np.zeros(frame.shape[:2], np.uint8)
    box[top : top + height, left : left + width] = 255
    if not installed:
        return Blend(clone(warped, frame, unit[:, :, 0], found), soft, box, found)
    x, y, wide, high = rectangle = destination(unit, centre)
    fits = x >= 0 and y >= 0 and x + wide <= frame.shape[1] and y + high <= frame.shape[0]
    output = cv2.seamlessClone(warped, frame, unit, centre, cv2.NORMAL_CLONE) if fits else None
    return Blend(None if output is None else np.asarray(output, np.uint8), soft, box, rectangle)


def mask_levels(soft: NDArray[np.float64]) -> Frame:
    """Return the mask for seamlessClone, uint8 [h, w, 3]: 365 times the soft mask, so values from 0.699 on are 255."""
    return np.clip(soft * 365, 0, 255).astype(np.uint8)


def box_of(levels: Frame) -> Rectangle | None:
    """Return FF++'s mask: the box around the pixels of 255, without its last column and row; None if there is none."""
    rows, columns = np.nonzero(levels[:, :, 0] == 255)
    if not len(rows):
        return None
    left, top = int(columns.min()), int(rows.min())
    return left, top, int(columns.max()) - left, int(rows.max()) - top


def destination(levels: Frame, centre: tuple[int, int]) -> Rectangle:
    """Return the rectangle that the seamlessClone of OpenCV 5 writes, which has its centre at the given point, (x, y).

    The rectangle is as large as the box around all grey levels above 0; the outermost pixels of the frame do not count.
    """
    inner = levels[:, :, 0].copy()
    inner[[0, -1]] = 0
    inner[:, [0, -1]] = 0
    _, _, width, height = cv2.boundingRect(inner)
    return centre[0] - width // 2, centre[1] - height // 2, int(width), int(height)
