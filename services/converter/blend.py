"""Blend a warped face into its frame: Poisson, as cv2.seamlessClone with NORMAL_CLONE, or alpha."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from services.converter import poisson
from services.converter.mask import Box
from services.converter.warp import Region

__all__ = ["Blended", "alpha", "seamless"]

# Erodes the mask, so that gradients across its edge are not the face's.
_REACH = 3
_EROSION = np.ones((2 * _REACH + 1, 2 * _REACH + 1), np.uint8)

# Turns rounding into truncation, with some slack for sums just below a grey level.
_TRUNCATION = np.float32(0.498)

# The smallest rectangle that has interior pixels to solve for.
_MIN_SIDE = 3

# The smallest rectangle of OpenCV 5, whose outermost pixels belong to the mask.
_MIN_SIDE_5 = 4


class Blended(NamedTuple):
    """The rectangle of a frame that blending may have changed; every pixel outside it is the target's.

    Attributes:
        region: The rectangle, in frame pixels. In Poisson blending it is the destination rectangle of the clone.
        pixels: uint8 [region.height, region.width, 3] BGR.
    """

    region: Region
    pixels: NDArray[np.uint8]


class _Seam(NamedTuple):
    """The input of a Poisson blend: the pixels of the face and of the frame, and the weights of the gradients.

    Attributes:
        source: Frame pixels of the face.
        destination: Frame pixels to change, a region as large as `source`; its outermost pixels stay as they are.
        share: float32 [source.height, source.width] in [0, 1], the weight of the face's gradients.
    """

    source: Region
    destination: Region
    share: NDArray[np.float32]


def seamless(
    frame: NDArray[np.uint8],
    warped: NDArray[np.uint8],
    mask_levels: NDArray[np.uint8],
    region: Region,
    box: Box,
    clone: str,
) -> Blended | None:
    """Clone a face into its frame, within one grey level of cv2.seamlessClone on the whole frame, but in less time.

    The gradients of the face, weighted by the eroded mask, are combined with those of the frame. Then the picture with
    these gradients is computed on a rectangle whose outermost pixels are fixed. Fractions of a grey level are
    truncated. The versions of OpenCV differ in the rectangle. With `opencv-3.4.1` it is the box, so no pixel outside
    the box changes. With `opencv-5` it surrounds all non-zero grey levels of the mask. It is placed by its centre,
    which may move it by a pixel, and the outermost pixels of the frame never belong to the mask. OpenCV 5 refuses a
    rectangle that would leave the frame; here it is moved to the frame's edge.

    Args:
        frame: uint8 [h, w, 3] BGR; not changed.
        warped: uint8 [region.height, region.width, 3] BGR, the face on the frame.
        mask_levels: uint8 [region.height, region.width], the grey levels of the mask; outside the region the mask is 0.
        region: Frame pixels of `warped` and `mask_levels`.
        box: The box of the mask, within the region.
        clone: `opencv-3.4.1` or `opencv-5`.

    Returns:
        The destination rectangle with its pixels; None if the rectangle is too small to contain a changeable pixel.
    """
    seam = {"opencv-3.4.1": _seam_3, "opencv-5": _seam_5}[clone](frame.shape, mask_levels, region, box)
    if seam is None:
        return None
    pixels = np.array(frame[seam.destination.slices], order="C")
    laplacian = _laplacian(warped[seam.source.relative_to(region)], pixels, seam.share)
    inside = pixels[1:-1, 1:-1]
    cloned = poisson.solve(laplacian)
    cloned -= _TRUNCATION
    inside[:] = cv2.add(cloned, np.ascontiguousarray(inside), dtype=cv2.CV_8U)
    return Blended(seam.destination, pixels)


def _seam_3(shape: tuple[int, ...], mask_levels: NDArray[np.uint8], region: Region, box: Box) -> _Seam | None:
    """Prepare a clone like OpenCV 3.4.1: erode the mask, but not at the frame's edge, then cut it to the box."""
    if min(box.width, box.height) < _MIN_SIDE:
        return None
    padded = np.pad(mask_levels, _REACH)
    padded[: max(_REACH - region.top, 0)] = 255
    padded[:, : max(_REACH - region.left, 0)] = 255
    padded[shape[0] - region.top + _REACH :] = 255
    padded[:, shape[1] - region.left + _REACH :] = 255
    share = _eroded(padded)[_REACH:-_REACH, _REACH:-_REACH]
    return _Seam(box.region, box.region, np.ascontiguousarray(share[box.region.relative_to(region)]))


def _seam_5(shape: tuple[int, ...], mask_levels: NDArray[np.uint8], region: Region, box: Box) -> _Seam | None:
    height, width = shape[:2]
    inner = mask_levels.copy()
    inner[: max(1 - region.top, 0)] = 0
    inner[:, : max(1 - region.left, 0)] = 0
    inner[max(height - 1 - region.top, 0) :] = 0
    inner[:, max(width - 1 - region.left, 0) :] = 0
    x, y, rect_width, rect_height = cv2.boundingRect(inner)
    if min(rect_width, rect_height) < _MIN_SIDE_5:
        return None
    source = Region(x, y, x + rect_width, y + rect_height).moved(region.left, region.top)
    left = min(max(box.x + box.width // 2 - rect_width // 2, 0), width - rect_width)
    top = min(max(box.y + box.height // 2 - rect_height // 2, 0), height - rect_height)
    destination = Region(left, top, left + rect_width, top + rect_height)
    return _Seam(source, destination, _eroded(inner[source.relative_to(region)]))


def _eroded(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the weight of the face's gradients, float32 [h, w] in [0, 1]; outside `levels` the mask is 0."""
    share = cv2.erode(levels, _EROSION, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(share, np.float32) * np.float32(1 / 255)


def _laplacian(
    foreground: NDArray[np.uint8], background: NDArray[np.uint8], share: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the Laplacian of the change to the background: the divergence of the weighted gradients of the difference.

    Gradients are forward differences; the divergence is a sum of backward differences. The arguments are [h, w] or
    [h, w, 3], the result is float32 [h - 2, w - 2, 3].
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
    """Mix a face into its frame by its soft mask; pixels are rounded to the nearest grey level.

    Args:
        frame: uint8 [h, w, 3] BGR; not changed.
        warped: uint8 [region.height, region.width, 3] BGR, the face on the frame.
        soft: float64 [region.height, region.width]; values are clipped to 0..1.
        region: Frame pixels of `warped` and `soft`.
    """
    share = np.clip(soft, 0.0, 1.0)[:, :, None]
    mixed = share * warped + (1.0 - share) * frame[region.slices]
    return Blended(region, np.rint(mixed).astype(np.uint8))
