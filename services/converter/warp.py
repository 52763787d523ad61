"""Warp an aligned face back onto its frame; this module knows nothing of masks and blending.

Convention: points are (x, y) in pixels with pixel centres at integers; matrices are float64 [2, 3] and map frame pixels
to the pixels of the aligned face.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Region", "footprint", "paste", "warp_square"]

# The cubic kernel reaches two pixels beyond the face.
_REACH = 3.0

# OpenCV processes blocks of columns from the left, and the rest at the right edge with other code, whose results differ
# at the border of the face. A window of whole blocks, or one that ends with its frame, is processed like the frame.
_BLOCK = 32


class Region(NamedTuple):
    """A rectangle of frame pixels; `right` and `bottom` are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Width, pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Height, pixels."""
        return self.bottom - self.top

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, to index a frame."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def relative_to(self, outer: Region) -> tuple[slice, slice]:
        """Return rows and columns to index an array that covers `outer`."""
        return self.moved(-outer.left, -outer.top).slices

    def moved(self, x: int, y: int) -> Region:
        """Return the region moved right by x and down by y."""
        return Region(self.left + x, self.top + y, self.right + x, self.bottom + y)

    def intersection(self, other: Region) -> Region:
        """Return the pixels of both regions; the size is negative where they do not overlap."""
        return Region(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    def expanded(self, margin: int) -> Region:
        """Return the region with a margin on every side."""
        return Region(self.left - margin, self.top - margin, self.right + margin, self.bottom + margin)

    def union(self, other: Region) -> Region:
        """Return the smallest region that contains both."""
        return Region(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def clipped(self, shape: tuple[int, ...]) -> Region | None:
        """Return the region inside a frame of shape (h, w, ...), or None where they do not overlap."""
        inside = self.intersection(Region(0, 0, shape[1], shape[0]))
        return inside if inside.width > 0 and inside.height > 0 else None


def footprint(matrix: NDArray[np.float64], size: int) -> Region | None:
    """Return the frame pixels that an aligned face covers, including the reach of the interpolation.

    Args:
        matrix: float64 [2, 3], frame to face pixels.
        size: Side of the face, pixels.

    Returns:
        The region, which may lie partly or wholly outside the frame; None for a matrix that has no inverse.
    """
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:, :2])) < 1e-12:
        return None
    low, high = -_REACH, size - 1 + _REACH
    corners = np.array([[low, low], [low, high], [high, low], [high, high]])
    points = (corners - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    left, top = np.floor(points.min(axis=0)).astype(int)
    right, bottom = np.ceil(points.max(axis=0)).astype(int) + 1
    return Region(int(left), int(top), int(right), int(bottom))


def paste(
    face: NDArray[np.uint8], frame: NDArray[np.uint8], matrix: NDArray[np.float64], region: Region
) -> NDArray[np.uint8]:
    """Warp an aligned face onto its frame by cubic interpolation; frame pixels that it does not cover are kept.

    The result is bit-equal to `cv2.warpAffine` onto the whole frame.

    Args:
        face: uint8 [s, s, 3] BGR.
        frame: uint8 [h, w, 3] BGR; not changed.
        matrix: float64 [2, 3], frame to face pixels.
        region: Frame pixels to compute; inside the frame.

    Returns:
        uint8 [region.height, region.width, 3] BGR.
    """
    left, right = region.left // _BLOCK * _BLOCK, -(-region.right // _BLOCK) * _BLOCK
    window = Region(left, region.top, min(right, frame.shape[1]), region.bottom)
    columns, rows = _coordinates(matrix, window)
    # OpenCV is faster in float32 than in uint8, which it converts to float32 and back.
    canvas = frame[window.slices].astype(np.float32)
    cv2.remap(face.astype(np.float32), columns, rows, cv2.INTER_CUBIC, canvas, cv2.BORDER_TRANSPARENT)
    return np.asarray(cv2.add(canvas, (0, 0, 0, 0), dtype=cv2.CV_8U), np.uint8)[region.relative_to(window)]


def warp_square(size: int, matrix: NDArray[np.float64], region: Region) -> NDArray[np.float64]:
    """Warp a white square onto black as `paste` warps a face; cubic, so values overshoot 0 and 1 at the edges.

    Only the edges are interpolated. Inside, where OpenCV's weights sum to 1 within 1e-7, the result is 1.

    Args:
        size: Side of the square, pixels.
        matrix: float64 [2, 3], frame to face pixels.
        region: Frame pixels to compute; inside the frame.

    Returns:
        float64 [region.height, region.width], about -0.15 to 1.25.
    """
    columns, rows = _coordinates(matrix, region)
    middle = np.float32((size - 1) / 2)
    distance = np.abs(columns - middle)
    np.maximum(distance, np.abs(rows - middle), out=distance)
    values = (distance < middle - 2).astype(np.float64)
    distance -= middle + np.float32(0.5)
    edge = np.flatnonzero(np.abs(distance, out=distance) <= 2.5)
    if edge.size:
        shape = (-(-edge.size // _BLOCK), _BLOCK)
        x, y = (np.resize(axis.ravel()[edge], shape) for axis in (columns, rows))
        drawn = np.zeros(shape, np.float64)
        cv2.remap(np.ones((size, size)), x, y, cv2.INTER_CUBIC, drawn, cv2.BORDER_TRANSPARENT)
        values.ravel()[edge] = drawn.ravel()[: edge.size]
    return np.asarray(values, np.float64)


def _coordinates(matrix: NDArray[np.float64], region: Region) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the face coordinates of a region's pixels, float32 x and y, rounded in the steps of cv2.warpAffine."""
    single = matrix.astype(np.float32)
    x = np.arange(region.left, region.right, dtype=np.float32)
    y = np.arange(region.top, region.bottom, dtype=np.float32)[:, None]
    columns, rows = (row[0] * x + (row[1] * y + row[2]) for row in single)
    return np.asarray(columns, np.float32), np.asarray(rows, np.float32)
