"""The orientation of pictures: the display matrix of a video as a mirroring and a rotation by quarter turns."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["AS_STORED", "Orientation"]

_MATRIX: Final = struct.Struct("=9i")


@dataclass(frozen=True)
class Orientation:
    """How stored pictures become upright: they are first mirrored left to right, if at all, and then rotated.

    Attributes:
        rotation: Clockwise rotation, degrees: 0, 90, 180 or 270.
        mirrored: Whether pictures are mirrored.
    """

    rotation: int = 0
    mirrored: bool = False

    @classmethod
    def of(cls, matrix: bytes) -> Orientation:
        """Read a display matrix, nine 32-bit integers in the order of ISO/IEC 14496-12: a, b, u, c, d, v, x, y, w.

        A point (x, y) of the stored picture is shown at (ax + cy, bx + dy). Scales and shifts are ignored, angles are
        rounded to quarter turns, and a matrix that maps all points to one line changes nothing.
        """
        a, b, _, c, d, *_ = _MATRIX.unpack(matrix)
        determinant = a * d - b * c
        if not determinant:
            return AS_STORED
        mirrored = determinant < 0
        angle = math.degrees(math.atan2(-b, -a) if mirrored else math.atan2(b, a))
        return cls(round(angle / 90) % 4 * 90, mirrored)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height of an upright picture."""
        return (height, width) if self.rotation % 180 else (width, height)

    def upright(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a picture, uint8 [h, w, 3], upright and contiguous in memory."""
        mirrored = picture[:, ::-1] if self.mirrored else picture
        return np.ascontiguousarray(np.rot90(mirrored, -self.rotation // 90), np.uint8)


AS_STORED: Final = Orientation()
"""Pictures are stored upright."""
