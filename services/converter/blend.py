"""Blending a warped face into its frame: Poisson, as cv2.seamlessClone with NORMAL_CLONE does it, or alpha."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from services.converter import poisson
from services.converter.warp import Region

__all__ = ["Blended", "alpha", "seamless"]

# Of the mask, so that no gradient of the face is taken across the mask's edge.
_EROSION = np.ones((7, 7), np.uint8)

# Turns rounding to the nearest level into cutting fractions off, with some slack for sums that just miss a level.
_CUT = np.float32(0.498)

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
    """Clone a face into its frame: within a grey level of cv2.seamlessClone on whole frames, in less time.

    The face's gradients, weighted by the mask, are joined to the frame's, and the picture that has them is solved for;
    fractions of a level are cut off. As in OpenCV, the outermost pixels of the frame never belong to the mask, and the
    rectangle around the non-zero mask is placed by its centre, which may move it by a pixel. A rectangle that would
    leave the frame, where OpenCV gives up, is moved to its edge.

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

    pixels = np.array(frame[destination.slices], order="C")
    foreground = warped[source.relative_to(region)]
    laplacian = _seam(foreground, pixels, _eroded(inner[source.relative_to(region)]))
    inside = pixels[1:-1, 1:-1]
    cloned = poisson.solve(laplacian)
    cloned -= _CUT
    inside[:] = cv2.add(cloned, np.ascontiguousarray(inside), dtype=cv2.CV_8U)
    return Blended(destination, pixels)


def _eroded(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The share of the face's gradients, float32 [h, w]; the mask is 0 beyond these pixels."""
    share = cv2.erode(levels, _EROSION, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(share, np.float32) * np.float32(1 / 255)


def _seam(
    foreground: NDArray[np.uint8], background: NDArray[np.uint8], share: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Laplacian of what has to be added to the background: divergence of the difference's gradients times their share.

    Gradients look forwards, the divergence backwards. All are [h, w] or [h, w, 3]; the result is [h - 2, w - 2, 3].
    """
    difference = cv2.subtract(foreground, background, dtype=cv2.CV_32F)
    shares = cv2.merge([share, share, share])
    across = cv2.subtract(difference[1:-1, 1:], difference[1:-1, :-1])
    across = cv2.multiply(across, shares[1:-1, :-1], dst=across)
    down = cv2.subtract(difference[1:, 1:-1], difference[:-1, 1:-1])
    down = cv2.multiply(down, shares[:-1, 1:-1], dst=down)
    divergence = np.asarray(cv2.subtract(across[:, 1:], across[:, :-1]), np.float32)
    divergence += down[1:]
    divergence -= down[:-1]
    return divergence


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
