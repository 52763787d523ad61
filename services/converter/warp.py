"""Where an aligned face lies in its frame, and putting it back there; knows nothing of masks and blending.

Convention: points are (x, y) in pixels with pixel centres at integers; matrices are float64 [2, 3] and map frame pixels
to the pixels of the aligned face.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Region", "footprint", "paste", "paste_ones"]

# The cubic kernel reaches two pixels beyond the face.
_REACH = 3.0

# OpenCV works on blocks of columns from the left and treats the rest at the right edge by other code, whose results at
# the border of the face differ. A region that ends this far right of the face meets the same code as the whole frame.
_TAIL = 64

_FLAGS = cv2.WARP_INVERSE_MAP | cv2.INTER_CUBIC


class Region(NamedTuple):
    """A rectangle of frame pixels; `right` and `bottom` are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Pixels."""
        return self.bottom - self.top

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, for indexing a frame."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def within(self, outer: Region) -> tuple[slice, slice]:
        """Rows and columns, for indexing an array that holds `outer` only."""
        return self.moved(-outer.left, -outer.top).slices

    def moved(self, x: int, y: int) -> Region:
        """The region moved right by x and down by y."""
        return Region(self.left + x, self.top + y, self.right + x, self.bottom + y)

    def grown(self, margin: int) -> Region:
        """The region with a margin on every side."""
        return Region(self.left - margin, self.top - margin, self.right + margin, self.bottom + margin)

    def joined(self, other: Region) -> Region:
        """The smallest region that holds both."""
        return Region(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def clipped(self, shape: tuple[int, ...]) -> Self | None:
        """The part inside a frame of shape (h, w, ...), or None when nothing of it is."""
        height, width = shape[:2]
        left, right = max(self.left, 0), min(self.right, width)
        top, bottom = max(self.top, 0), min(self.bottom, height)
        return type(self)(left, top, right, bottom) if left < right and top < bottom else None


def footprint(matrix: NDArray[np.float64], size: int) -> Region | None:
    """Bound the frame pixels that an aligned face covers, with what its interpolation reaches.

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
    """Warp an aligned face onto its frame, cubic; frame pixels that the face does not cover stay.

    The result is the same as warping onto the whole frame and cutting the region out.

    Args:
        face: uint8 [s, s, 3] BGR.
        frame: uint8 [h, w, 3] BGR; left as it is.
        matrix: float64 [2, 3], frame to face pixels.
        region: Part of the frame that is wanted; inside the frame.

    Returns:
        uint8 [region.height, region.width, 3] BGR.
    """
    right = min(frame.shape[1], region.right + _TAIL)
    canvas = np.array(frame[: region.bottom, :right], order="C")
    cv2.warpAffine(face, matrix, (right, region.bottom), canvas, _FLAGS, cv2.BORDER_TRANSPARENT)
    return np.ascontiguousarray(canvas[region.slices])


def paste_ones(size: int, shape: tuple[int, ...], matrix: NDArray[np.float64], region: Region) -> NDArray[np.float64]:
    """Warp a square of ones onto zeros as `paste` warps a face; cubic, so it overshoots 0 and 1 at its edges.

    Args:
        size: Side of the square, pixels.
        shape: Of the frame, (h, w, ...).
        matrix: float64 [2, 3], frame to face pixels.
        region: Part of the frame that is wanted; inside the frame.

    Returns:
        float64 [region.height, region.width], about -0.15 to 1.25.
    """
    right = min(shape[1], region.right + _TAIL)
    canvas = np.zeros((region.bottom, right), np.float64)
    square = np.ones((size, size), np.float64)
    cv2.warpAffine(square, matrix, (right, region.bottom), canvas, _FLAGS, cv2.BORDER_TRANSPARENT)
    return np.ascontiguousarray(canvas[region.slices])
