"""Warp an aligned face back onto its frame as OpenCV 3.4.1 did; this module knows nothing of masks and blending.

With BORDER_TRANSPARENT, OpenCV maps each frame pixel to a point of the face. It writes the frame pixel only if the
whole pixel at or before that point lies in the face. Taps of the cubic kernel outside the face are mirrored at the
face's outermost pixels.

Convention: points are (x, y) in pixels with pixel centres at integers; matrices are float64 [2, 3] and map frame pixels
to the pixels of the aligned face.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry.faces.fixed_point import affine_points

__all__ = ["Region", "footprint", "paste", "warp_square"]


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
        """Return the rows and columns of this region in an array that covers the region `outer`."""
        return self.moved(-outer.left, -outer.top).slices

    def moved(self, x: int, y: int) -> Region:
        """Return the region moved right by x and down by y."""
        return Region(self.left + x, self.top + y, self.right + x, self.bottom + y)

    def intersection(self, other: Region) -> Region:
        """Return the region that both regions cover; its width or height is 0 or less if they do not overlap."""
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
        """Return the part of the region inside a frame of shape (h, w, ...); None if no part is inside."""
        inside = self.intersection(Region(0, 0, shape[1], shape[0]))
        return inside if inside.width > 0 and inside.height > 0 else None


def footprint(matrix: NDArray[np.float64], size: int) -> Region | None:
    """Return a region that contains all frame pixels that an aligned face covers.

    Args:
        matrix: float64 [2, 3], frame to face pixels.
        size: Width and height of the face, pixels.

    Returns:
        The region, which may lie partly or wholly outside the frame; None for a matrix that has no inverse.
    """
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:, :2])) < 1e-12:
        return None
    low, high = -1.0, float(size)
    corners = np.array([[low, low], [low, high], [high, low], [high, high]])
    points = (corners - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    left, top = np.floor(points.min(axis=0)).astype(int)
    right, bottom = np.ceil(points.max(axis=0)).astype(int) + 1
    return Region(int(left), int(top), int(right), int(bottom))


def paste(
    face: NDArray[np.uint8], frame: NDArray[np.uint8], matrix: NDArray[np.float64], region: Region
) -> NDArray[np.uint8]:
    """Warp an aligned face onto its frame by cubic interpolation; frame pixels that the face does not cover are kept.

    Args:
        face: uint8 [s, s, 3] BGR.
        frame: uint8 [h, w, 3] BGR; not changed.
        matrix: float64 [2, 3], frame to face pixels.
        region: Frame pixels to compute; inside the frame.

    Returns:
        uint8 [region.height, region.width, 3] BGR, within one grey level of `cv2.warpAffine` of OpenCV 3.4.1.
    """
    points = affine_points(matrix, region.left, region.top, region.width, region.height)
    made = cv2.remap(face, *points, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    canvas = np.array(frame[region.slices], order="C")
    return np.asarray(cv2.copyTo(made, points.within(*face.shape[1::-1]), canvas), np.uint8)


def warp_square(size: int, matrix: NDArray[np.float64], region: Region) -> NDArray[np.float64]:
    """Warp a white square onto black as `paste` warps a face.

    The taps of the cubic kernel sum to 1, so the square has no soft edge.

    Args:
        size: Width and height of the square, pixels.
        matrix: float64 [2, 3], frame to face pixels.
        region: Frame pixels to compute; inside the frame.

    Returns:
        float64 [region.height, region.width], 0 or 1.
    """
    points = affine_points(matrix, region.left, region.top, region.width, region.height)
    return points.within(size, size) / np.float64(255)
