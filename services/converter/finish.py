"""Gives a network's face on its frame what the network could not: the target's open mouth, and its fine detail.

A decoder draws mouths as its clip shows them, so a source that never laughs has closed lips where the target laughs.
A face of few pixels has no texture of skin, and no pupils. FF++ changes none of this, as `AS_MADE`.

Lengths are in pixels of the network, so that they grow with the face.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from services.converter.warp import Region, warp_square

__all__ = ["AS_MADE", "FinishOptions", "finish"]


class _Opening(NamedTuple):
    """What can open: a mouth or an eye.

    A mouth is grown, so that the lips' inner edge comes along. Eyes are not: lids and lashes are the source's.

    Attributes:
        contour: Landmarks around it.
        across: Pairs of landmarks across its gap.
        grown: How far the contour is grown, pixels of the network.
        soft: Standard deviation of its edge, pixels of the network.
    """

    contour: range
    across: tuple[tuple[int, int], ...]
    grown: float
    soft: float


_MOUTH: Final = _Opening(range(60, 68), ((62, 66),), 1.5, 1.0)
_EYES: Final = (
    _Opening(range(36, 42), ((37, 41), (38, 40)), 0.0, 0.5),
    _Opening(range(42, 48), ((43, 47), (44, 46)), 0.0, 0.5),
)
# Brow and eye of each side.
_AROUND: Final = ((*range(17, 22), *range(36, 42)), (*range(22, 27), *range(42, 48)))
# How far the hull of an eye and its brow is grown, so that lashes and the fold below the eye are in it, and its edge's
# deviation.
_AROUND_EYES: Final = 2.0
_SOFT: Final = 1.0
# A gap of the first length is that of closed lips or lids; from the second one on they are open.
_SHUT, _OPEN = 1.0, 3.0
# Detail is what a Gaussian of this deviation takes away. Above the limit, in grey levels, it is an edge of the target's
# nose or lips, and no skin. Around the eyes nothing is: the target's lids do not lie on the source's. Between open lids
# it is the target's gaze, and the edges of irises and catchlights are stronger.
_DETAIL: Final = 0.75
_LIMIT: Final = 12.0
_EYE_LIMIT: Final = 16.0
# Bits of fractions of a pixel of the points of a polygon.
_SHIFT: Final = 4


class FinishOptions(NamedTuple):
    """What is taken from the target.

    Attributes:
        mouth: `source`, nothing, or `target`: what is inside the lips, where the target's mouth is open.
        detail: Weight of its detail that is finer than the network's pixels, but for lids and brows; 0 takes none.
    """

    mouth: str = "source"
    detail: float = 0.0


AS_MADE: Final = FinishOptions()
"""Nothing is taken: the face stays as the network made it, as in FF++."""


def finish(
    warped: NDArray[np.uint8],
    frame: NDArray[np.uint8],
    matrix: NDArray[np.float64],
    landmarks: NDArray[np.float32],
    region: Region,
    size: int,
    options: FinishOptions,
) -> NDArray[np.uint8]:
    """Finish a face before it is blended.

    Args:
        warped: uint8 [region.height, region.width, 3] BGR, the face on the frame.
        frame: uint8 [h, w, 3] BGR; not changed.
        matrix: float64 [2, 3], frame to face pixels.
        landmarks: float32 [68, 2], (x, y) in frame pixels.
        region: Frame pixels of `warped`, inside the frame.
        size: Width and height of the aligned face, pixels.
        options: What is taken from the target.

    Returns:
        uint8, as `warped`, which stays as it is.
    """
    if options == AS_MADE:
        return warped
    pixel = 1 / np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    target = frame[region.slices].astype(np.float32)
    made = warped.astype(np.float32)
    if options.detail:
        inside = warp_square(size, matrix, region) > 0
        fine = target - cv2.GaussianBlur(target, (0, 0), _DETAIL * pixel)
        between = np.maximum(*(_weight(eye, landmarks, region, pixel) for eye in _EYES))
        weight = options.detail * inside * np.maximum(1 - _around_eyes(landmarks, region, pixel), between)
        limit = (_LIMIT + (_EYE_LIMIT - _LIMIT) * between)[:, :, None]
        made += weight[:, :, None] * np.clip(fine, -limit, limit)
    if options.mouth == "target":
        made += _weight(_MOUTH, landmarks, region, pixel)[:, :, None] * (target - made)
    return np.clip(np.rint(made), 0, 255).astype(np.uint8)


def _weight(opening: _Opening, landmarks: NDArray[np.float32], region: Region, pixel: float) -> NDArray[np.float32]:
    """Return the weight of the target in an opening, float32 [region.height, region.width] in [0, 1].

    Args:
        opening: The target's mouth or one of its eyes.
        landmarks: float32 [68, 2], (x, y) in frame pixels.
        region: Frame pixels of the result.
        pixel: Width of a pixel of the network, frame pixels.
    """
    first, second = (landmarks[list(points)] for points in zip(*opening.across, strict=True))
    gap = float(np.linalg.norm(first - second, axis=1).mean()) / pixel
    share = np.clip((gap - _SHUT) / (_OPEN - _SHUT), 0, 1)
    if not share:
        return np.zeros((region.height, region.width), np.float32)
    contour = landmarks[list(opening.contour)]
    return np.float32(share) * _soft_mask([contour], region, opening.grown * pixel, opening.soft * pixel)


def _around_eyes(landmarks: NDArray[np.float32], region: Region, pixel: float) -> NDArray[np.float32]:
    """Return where eyes and brows are, float32 [region.height, region.width] in [0, 1]; arguments as in `_weight`."""
    hulls = [cv2.convexHull(landmarks[list(points)])[:, 0] for points in _AROUND]
    return _soft_mask(hulls, region, _AROUND_EYES * pixel, _SOFT * pixel)


def _soft_mask(
    polygons: Sequence[NDArray[np.float32]], region: Region, grown: float, soft: float
) -> NDArray[np.float32]:
    """Draw polygons, grow them, and make their edge soft.

    Args:
        polygons: Each float32 [n, 2], (x, y) in frame pixels.
        region: Frame pixels of the result.
        grown: How far the polygons are grown, frame pixels.
        soft: Standard deviation of the Gaussian of the edge, frame pixels.

    Returns:
        float32 [region.height, region.width], 1 inside, 0 outside.
    """
    mask = np.zeros((region.height, region.width), np.uint8)
    for polygon in polygons:
        points = np.rint((polygon - np.array(region[:2])) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(mask, [points], 255, cv2.LINE_AA, _SHIFT)
    side = 2 * round(grown) + 1
    mask = np.asarray(cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))), np.uint8)
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), soft) * np.float32(1 / 255), np.float32)
