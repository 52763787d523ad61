"""Masks of one face in one frame: the soft one that is blended by, its levels, and its box.

The soft mask of `facehullandrect` is the warped square of the aligned face times the convex hull of the 68 landmarks.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from services.converter.warp import Region, footprint, warp_square

__all__ = ["Box", "MaskOptions", "SoftMask", "core_box", "levels", "soft_mask"]

# What the origin multiplies by before cutting off at 255: a soft value of 0.699 and more is core.
_GAIN = 365.0

# The box blur keeps a running sum, which leaves residues of about 1e-16 where the mask is 0.
_NOTHING = 1e-9


class MaskOptions(NamedTuple):
    """How the soft mask is made.

    Attributes:
        kind: `facehullandrect`, `facehull` or `rect`.
        erosion: Diameter of the elliptic kernel, pixels; negative dilates, 0 does neither.
        blur: Side of the box blur, pixels; 0 leaves it sharp.
    """

    kind: str
    erosion: int
    blur: int


class Box(NamedTuple):
    """A box of frame pixels."""

    x: int
    y: int
    width: int
    height: int


class SoftMask(NamedTuple):
    """The part of a frame's soft mask that differs from 0.

    Attributes:
        region: Which frame pixels these are, as few as possible.
        values: float64 [region.height, region.width], nominally 0 to 1; cubic edges overshoot a little.
        touched: uint8 of the same shape, 255 where the value is above 0, else 0.
    """

    region: Region
    values: NDArray[np.float64]
    touched: NDArray[np.uint8]


def soft_mask(
    shape: tuple[int, ...],
    matrix: NDArray[np.float64],
    landmarks: NDArray[np.float32],
    size: int,
    options: MaskOptions,
) -> SoftMask | None:
    """Make the mask that a face is blended by.

    Args:
        shape: Of the frame, (h, w, ...).
        matrix: float64 [2, 3], frame to face pixels.
        landmarks: float32 [68, 2], (x, y) in frame pixels; fractions are cut off.
        size: Side of the aligned face, pixels.
        options: How the mask is made.

    Returns:
        The mask on the region where it is above 0, or None when there is no such pixel in the frame.
    """
    square = footprint(matrix, size)
    if square is None:
        return None
    hull = cv2.convexHull(landmarks.astype(np.int32).reshape(-1, 1, 2))
    x, y, width, height = cv2.boundingRect(hull)
    inside = Region(x, y, x + width, y + height)
    part = {"rect": square, "facehull": inside, "facehullandrect": square.intersection(inside)}[options.kind]
    region = part.expanded(abs(options.erosion) + options.blur + 2).clipped(shape)
    if region is None:
        return None
    if options.kind == "rect":
        values = warp_square(size, matrix, region)
    else:
        values = np.zeros((region.height, region.width), np.float64)
        cv2.fillConvexPoly(values, hull - np.array(region[:2], np.int32), 1.0)
        if options.kind == "facehullandrect":
            values *= warp_square(size, matrix, region)
    if options.erosion:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (abs(options.erosion), abs(options.erosion)))
        values = np.asarray((cv2.erode if options.erosion > 0 else cv2.dilate)(values, kernel), np.float64)
    if options.blur:
        values = np.asarray(cv2.blur(values, (options.blur, options.blur)), np.float64)
    touched = np.where(values > _NOTHING, np.uint8(255), np.uint8(0))
    x, y, width, height = cv2.boundingRect(touched)
    if not width:
        return None
    inner = Region(x, y, x + width, y + height)
    return SoftMask(inner.moved(region.left, region.top), values[inner.slices], touched[inner.slices])


def levels(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Turn a soft mask into what seamlessClone gets: uint8 of the same shape, clip(365 * mask, 0, 255)."""
    return np.clip(_GAIN * values, 0.0, 255.0).astype(np.uint8)


def core_box(mask_levels: NDArray[np.uint8], region: Region) -> tuple[Box, tuple[int, int]] | None:
    """Bound the pixels of level 255.

    Args:
        mask_levels: uint8 [h, w] from `levels`.
        region: Which frame pixels these are.

    Returns:
        The FF++ mask, which is the bounding box with its upper bounds exclusive (so its last column and row are
        missing), and the box's integer centre (x, y), where seamlessClone puts the face; both in frame pixels. None
        when there is no such pixel or the box is empty.
    """
    x, y, width, height = cv2.boundingRect((mask_levels == 255).astype(np.uint8))
    if width < 2 or height < 2:
        return None
    left, top = x + region.left, y + region.top
    return Box(left, top, width - 1, height - 1), (left + (width - 1) // 2, top + (height - 1) // 2)
