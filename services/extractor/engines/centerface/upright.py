"""Geometry of faces that may be turned: boxes from five points, and pictures of a face turned upright.

A box is float64 [4]: x, y, width and height in frame pixels. Points are (x, y) with pixel centres at integers. A turn
is in degrees; a face with a turn of 90 looks right when its picture is turned by 90 degrees against the clock.
"""

from __future__ import annotations

import math
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from services.extractor.boxes import Box

__all__ = ["box_of", "cut", "grown", "turn_of"]

Frame: TypeAlias = NDArray[np.uint8]
Points: TypeAlias = NDArray[np.float64]

# Side of dlib's boxes on 252 frames of 13 people, in lengths of the diagonal of the eyes' distance and the distance
# from eyes to mouth. Their centre is midway between eyes and mouth.
_SIDE: Final = 1.71


def box_of(points: Points) -> Box:
    """Return the square box, as dlib's detector would place it, of a face with any turn.

    Args:
        points: float64 [5, 2]: the eyes, the tip of the nose and the corners of the mouth; left in the picture first.
    """
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    across, down = points[1] - points[0], mouth - eyes
    side = _SIDE * math.sqrt(float(across @ across + down @ down))
    return np.array([*((eyes + mouth - side + 1) / 2), side, side], dtype=np.float64)


def turn_of(points: Points) -> float:
    """Return the turn of a face, degrees, by the line through its eyes; arguments as in `box_of`."""
    across, down = points[1] - points[0]
    return math.degrees(math.atan2(down, across))


def grown(box: Box, part: float) -> Box:
    """Return the box grown by a part of its sides about its centre."""
    return np.concatenate([box[:2] - box[2:] * part / 2, box[2:] * (1 + part)])


def cut(frame: Frame, box: Box, turn: float, size: int) -> tuple[Frame, NDArray[np.float64]]:
    """Cut a picture out of a frame, with the box in its middle half, turned upright.

    Args:
        frame: uint8 [h, w, 3] or [h, w]; what lies outside is black.
        box: float64 [4]; its mean side counts.
        turn: Degrees by which the face is turned.
        size: Side of the picture, pixels.

    Returns:
        The picture, uint8 [size, size, ..], and the matrix float64 [2, 3] from its points to those of the frame.
    """
    center, side = box[:2] + (box[2:] - 1) / 2, max(1.0, float(box[2:].mean()))
    scale = size / (2 * side)
    # The frame around the turned picture, whose corners lie at most sqrt(2) sides away.
    reach = math.sqrt(2) * side + 2
    low = np.clip(np.floor(center - reach), 0, (frame.shape[1], frame.shape[0])).astype(int)
    high = np.clip(np.ceil(center + reach) + 1, low, (frame.shape[1], frame.shape[0])).astype(int)
    region, moved = frame[low[1] : high[1], low[0] : high[0]], np.array([1.0, 1.0])
    if scale < 1 and region.size:
        # Averages what becomes a pixel. A warp alone would leave pixels out.
        width, height = (max(1, round(edge * scale)) for edge in region.shape[1::-1])
        moved = np.array([width, height]) / region.shape[1::-1]
        region = np.asarray(cv2.resize(region, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
        scale = 1.0
    middle = (center - low + 0.5) * moved - 0.5
    matrix = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), turn, scale)
    matrix[:, 2] += (size - 1) / 2 - middle
    if region.size:
        picture = np.asarray(cv2.warpAffine(region, matrix, (size, size), flags=cv2.INTER_LINEAR), dtype=np.uint8)
    else:
        picture = np.zeros((size, size, *frame.shape[2:]), dtype=np.uint8)
    back = cv2.invertAffineTransform(matrix)
    back[:, 2] = (back[:, 2] + 0.5) / moved - 0.5 + low
    back[:, :2] /= moved[:, None]
    return picture, np.asarray(back, dtype=np.float64)
