"""Blending a warped face into its frame: Poisson (cv2.seamlessClone, NORMAL_CLONE) or alpha."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from services.converter.warp import Region

__all__ = ["Blended", "alpha", "seamless"]

# seamlessClone erodes the mask by three pixels and wants to see that it is 0 around.
_MARGIN = 8

# The smallest rectangle its solver has an inside for.
_SMALLEST = 4


class Blended(NamedTuple):
    """The only pixels of a frame that blending may have changed.

    Attributes:
        region: Which frame pixels these are; for Poisson blending the destination rectangle.
        pixels: uint8 [region.height, region.width, 3] BGR.
    """

    region: Region
    pixels: NDArray[np.uint8]


def seamless(
    frame: NDArray[np.uint8],
    warped: NDArray[np.uint8],
    mask_levels: NDArray[np.uint8],
    region: Region,
    center: tuple[int, int],
) -> Blended | None:
    """Clone a face into its frame; the same pixels as cv2.seamlessClone on whole frames, at a fraction of the work.

    As in OpenCV, the outermost pixels of the frame never belong to the mask, and the rectangle around the non-zero mask
    is placed by its centre, which may move it by a pixel. A rectangle that would leave the frame, where OpenCV
    gives up, is moved to its edge.

    Args:
        frame: uint8 [h, w, 3] BGR; left as it is.
        warped: uint8 [region.height, region.width, 3] BGR, the face on the frame.
        mask_levels: uint8 [region.height, region.width]; every non-zero level takes part.
        region: Which frame pixels the two are.
        center: Where the rectangle's centre goes, (x, y) in frame pixels.

    Returns:
        The destination rectangle with its pixels, or None when the mask is too small to be solved in.
    """
    height, width = frame.shape[:2]
    inner = mask_levels.copy()
    inner[: max(1 - region.top, 0)] = 0
    inner[:, : max(1 - region.left, 0)] = 0
    inner[max(height - 1 - region.top, 0) :] = 0
    inner[:, max(width - 1 - region.left, 0) :] = 0
    x, y, rect_width, rect_height = cv2.boundingRect(inner)
    if min(rect_width, rect_height) < _SMALLEST:
        return None
    source = Region(x, y, x + rect_width, y + rect_height).moved(region.left, region.top)
    left = min(max(center[0] - rect_width // 2, 0), width - rect_width)
    top = min(max(center[1] - rect_height // 2, 0), height - rect_height)
    destination = Region(left, top, left + rect_width, top + rect_height)

    crop = source.joined(destination).grown(_MARGIN).clipped(frame.shape)
    assert crop is not None
    background = np.ascontiguousarray(frame[crop.slices])
    foreground = np.zeros_like(background)
    foreground[source.within(crop)] = warped[source.within(region)]
    mask = np.zeros(background.shape[:2], np.uint8)
    mask[source.within(crop)] = inner[source.within(region)]
    point = (left + rect_width // 2 - crop.left, top + rect_height // 2 - crop.top)
    cloned = cv2.seamlessClone(foreground, background, mask, point, cv2.NORMAL_CLONE)
    return Blended(destination, np.ascontiguousarray(cloned[destination.within(crop)], np.uint8))


def alpha(frame: NDArray[np.uint8], warped: NDArray[np.uint8], soft: NDArray[np.float64], region: Region) -> Blended:
    """Mix a face into its frame by its soft mask, rounded to the nearest level.

    Args:
        frame: uint8 [h, w, 3] BGR; left as it is.
        warped: uint8 [region.height, region.width, 3] BGR, the face on the frame.
        soft: float64 [region.height, region.width]; values are cut to 0..1.
        region: Which frame pixels the two are.
    """
    share = np.clip(soft, 0.0, 1.0)[:, :, None]
    mixed = share * warped + (1.0 - share) * frame[region.slices]
    return Blended(region, np.rint(mixed).astype(np.uint8))
