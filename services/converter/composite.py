"""Put a face on a frame: combine warp, finish, mask and blend, and keep only the pixels that differ from the target."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry.faces.crop import crop_matrix
from services.converter import blend as blending
from services.converter import mask as masks
from services.converter import warp
from services.converter.finish import AS_MADE, FinishOptions, finish
from services.converter.mask import Box, MaskOptions
from services.converter.warp import Region

__all__ = ["MASK_TOO_SMALL", "Patch", "composite"]

MASK_TOO_SMALL = "MASK_TOO_SMALL"
"""Why a frame is not swapped: its face is outside the frame or so small that there is no pixel to blend."""


@dataclass(frozen=True)
class Patch:
    """The pixels of a fake's frame that replace the target's.

    Attributes:
        region: Region of the frame that is replaced; outside it the fake equals the target.
        pixels: uint8 [region.height, region.width, 3] BGR.
        blend: uint8 [region.height, region.width], 255 where the soft mask is above 0, else 0.
        box: The box of the mask.
    """

    region: Region
    pixels: NDArray[np.uint8]
    blend: NDArray[np.uint8]
    box: Box

    def apply(self, target: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the fake's frame: a copy of the target, uint8 [h, w, 3] BGR, with the region replaced."""
        frame = target.copy()
        frame[self.region.slices] = self.pixels
        return frame

    def box_mask(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return the box as a picture of shape (h, w, ...): uint8 [h, w], 255 inside the box, else 0."""
        mask = np.zeros(shape[:2], np.uint8)
        mask[self.box.region.slices] = 255
        return mask

    def blend_mask(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return the blend mask as a picture of shape (h, w, ...): uint8 [h, w], 255 where the soft mask is above 0."""
        mask = np.zeros(shape[:2], np.uint8)
        mask[self.region.slices] = self.blend
        return mask

    def changed_mask(self, target: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return where the fake's frame differs from the target, uint8 [h, w, 3] BGR, in any channel: uint8 [h, w].

        It is 255 where they differ, else 0.
        """
        mask = np.zeros(target.shape[:2], np.uint8)
        blue, green, red = cv2.split(cv2.absdiff(target[self.region.slices], self.pixels))
        largest = cv2.max(cv2.max(blue, green), red)
        mask[self.region.slices] = cv2.threshold(largest, 0, 255, cv2.THRESH_BINARY)[1]
        return mask


def composite(
    frame: NDArray[np.uint8],
    face: NDArray[np.float32],
    matrix: NDArray[np.float64],
    landmarks: NDArray[np.float32],
    options: MaskOptions,
    clone: str | None,
    finishing: FinishOptions = AS_MADE,
) -> Patch | None:
    """Put the network's face on a frame.

    Args:
        frame: uint8 [h, w, 3] BGR; not changed.
        face: float32 [s, s, 3] BGR in [0, 1], as the network returns it.
        matrix: float64 [2, 3], maps frame pixels to the mean face's unit square.
        landmarks: float32 [68, 2], (x, y) in frame pixels.
        options: How the mask is made.
        clone: Version of OpenCV whose `seamlessClone` is computed, `opencv-3.4.1` or `opencv-5`; None for alpha
            blending.
        finishing: What the face takes from the target before it is blended.

    Returns:
        The patch, or None when there is no pixel to blend (`MASK_TOO_SMALL`).
    """
    size = face.shape[0]
    to_face = crop_matrix(matrix, size, 0)
    soft = masks.soft_mask(frame.shape, to_face, landmarks, size, options)
    if soft is None:
        return None
    mask_levels = masks.levels(soft.values)
    box = masks.core_box(mask_levels, soft.region)
    if box is None:
        return None
    pixels = np.clip(face * np.float32(255.0), 0.0, 255.0).astype(np.uint8)
    pasted = warp.paste(pixels, frame, to_face, soft.region)
    warped = finish(pasted, frame, to_face, landmarks, soft.region, size, finishing)
    if clone is None:
        blended: blending.Blended | None = blending.alpha(frame, warped, soft.values, soft.region)
    else:
        blended = blending.seamless(frame, warped, mask_levels, soft.region, box, clone)
    return None if blended is None else _patch(frame, soft, blended, box)


def _patch(frame: NDArray[np.uint8], soft: masks.SoftMask, blended: blending.Blended, box: Box) -> Patch:
    region = soft.region.union(blended.region)
    pixels = np.array(frame[region.slices], order="C")
    pixels[blended.region.relative_to(region)] = blended.pixels
    blend = np.zeros((region.height, region.width), np.uint8)
    blend[soft.region.relative_to(region)] = soft.touched
    return Patch(region, pixels, blend, box)
