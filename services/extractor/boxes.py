"""Geometry of face boxes.

A box is float64 [4]: x, y, width, height in frame pixels. It may reach beyond the frame.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Box", "iou", "largest", "nearest", "truncate_box"]

Box: TypeAlias = NDArray[np.float64]


def largest(boxes: NDArray[np.float64]) -> Box:
    """Return the box with the largest area among boxes [k, 4], k >= 1; the first one if several are equal."""
    return np.asarray(boxes[np.argmax(boxes[:, 2] * boxes[:, 3])], dtype=np.float64)


def nearest(boxes: NDArray[np.float64], previous: ArrayLike) -> Box:
    """Return the box whose centre is nearest to the centre of `previous`, among boxes [k, 4], k >= 1.

    If several are equally near, the first one is returned.
    """
    last = np.asarray(previous, dtype=np.float64)
    offset = boxes[:, :2] + boxes[:, 2:] / 2 - (last[:2] + last[2:] / 2)
    return np.asarray(boxes[np.argmin((offset**2).sum(axis=1))], dtype=np.float64)


def truncate_box(box: ArrayLike) -> Box:
    """Truncate a box's corners to whole pixels, as FF++ does; its width and height may change by one pixel."""
    exact = np.asarray(box, dtype=np.float64)
    near, far = np.trunc(exact[:2]), np.trunc(exact[:2] + exact[2:])
    return np.concatenate([near, far - near])


def iou(first: ArrayLike, second: ArrayLike) -> float:
    """Return the intersection over union of two boxes: 0 if they do not overlap, 1 if they are equal."""
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    sides = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
    intersection = float(np.prod(np.maximum(sides, 0)))
    union = float(a[2] * a[3] + b[2] * b[3]) - intersection
    return intersection / union if union > 0 else 0.0
