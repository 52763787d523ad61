"""Masks of a face in a frame: the soft mask for blending, its grey levels, and its box, which is FF++'s mask.

The soft mask gives the weight of the face in each pixel, 0 to 1. The kind `rect` is the square of the aligned face,
warped onto the frame; `facehull` is the convex hull of the 68 landmarks; `facehullandrect` is the product of both.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from services.converter.warp import Region, footprint, warp_square

__all__ = ["Box", "MaskOptions", "SoftMask", "core_box", "levels", "soft_mask"]

# FF++ multiplies by this and clips at 255: soft values of 0.699 and more become 255, the core.
_GAIN = 365.0

# The running sum of the box blur leaves residues of about 1e-16 where the mask is 0.
_EPSILON = 1e-9


class MaskOptions(NamedTuple):
    """Options of the soft mask.

    Attributes:
        kind: `facehullandrect`, `facehull` or `rect`.
        erosion: Diameter of the elliptic kernel, pixels; negative values dilate, 0 does nothing.
        blur: Width and height of the box blur's kernel, pixels; 0 leaves the mask sharp.
    """

    kind: str
    erosion: int
    blur: int


class Box(NamedTuple):
    """A box, in frame pixels."""

    x: int
    y: int
    width: int
    height: int

    @property
    def region(self) -> Region:
        """The region of frame pixels that the box covers."""
        return Region(self.x, self.y, self.x + self.width, self.y + self.height)


class SoftMask(NamedTuple):
    """The non-zero region of a frame's soft mask.

    Attributes:
        region: The smallest region that contains every frame pixel at which the soft mask is above 0.
        values: float64 [region.height, region.width], nominally 0 to 1; at the edges, cubic interpolation overshoots a
            little.
        touched: uint8 [region.height, region.width], 255 where `values` is above 0, else 0.
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
    """Make the mask that weights a face in blending.

    Args:
        shape: Shape of the frame, (h, w, ...).
        matrix: float64 [2, 3], frame to face pixels.
        landmarks: float32 [68, 2], (x, y) in frame pixels; fractions are truncated.
        size: Width and height of the aligned face, pixels.
        options: Options of the mask.

    Returns:
        The soft mask; None if it is above 0 at no pixel of the frame.
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
    values = np.ones((region.height, region.width)) if options.kind == "facehull" else warp_square(size, matrix, region)
    if options.kind != "rect":
        # OpenCV moves the pixels of a line that it cuts off, so the hull is drawn as a whole, as far as it is in frame.
        canvas = inside.union(region).clipped(shape) or region
        drawn = np.zeros((canvas.height, canvas.width), np.float64)
        cv2.fillConvexPoly(drawn, hull - np.array(canvas[:2], np.int32), 1.0)
        values *= drawn[region.relative_to(canvas)]
    if options.erosion:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (abs(options.erosion), abs(options.erosion)))
        values = np.asarray((cv2.erode if options.erosion > 0 else cv2.dilate)(values, kernel), np.float64)
    if options.blur:
        values = np.asarray(cv2.blur(values, (options.blur, options.blur)), np.float64)
    touched = np.where(values > _EPSILON, np.uint8(255), np.uint8(0))
    x, y, width, height = cv2.boundingRect(touched)
    if not width:
        return None
    inner = Region(x, y, x + width, y + height)
    return SoftMask(inner.moved(region.left, region.top), values[inner.slices], touched[inner.slices])


def levels(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Convert a soft mask to seamlessClone's input: uint8 of the same shape, clip(365 * mask, 0, 255)."""
    return np.clip(_GAIN * values, 0.0, 255.0).astype(np.uint8)


def core_box(mask_levels: NDArray[np.uint8], region: Region) -> Box | None:
    """Return the box around the pixels of grey level 255, which is FF++'s mask.

    Args:
        mask_levels: uint8 [h, w] from `levels`.
        region: Frame pixels of `mask_levels`.

    Returns:
        The bounding box in frame pixels without its last column and row, because FF++ takes the upper bounds as
        exclusive. None if no pixel has the level 255, or the box is empty.
    """
    x, y, width, height = cv2.boundingRect((mask_levels == 255).astype(np.uint8))
    if width < 2 or height < 2:
        return None
    return Box(x + region.left, y + region.top, width - 1, height - 1)
