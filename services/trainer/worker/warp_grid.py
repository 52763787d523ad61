"""The grids of FF++'s random warp, and the sizes of the crops that it reads.

The warp moves a grid of 5x5 points over the mean-face square. Points are (x, y) in pixels of the crop, with pixel
centres at integers.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["CROP_SIZE", "MARGIN", "SIDE", "over_crop", "over_face", "resize"]

CROP_SIZE: Final = 256
"""Side of the crops, pixels."""

MARGIN: Final = 48.0
"""Distance of the mean-face square from the border of FF++'s crops, pixels."""

SIDE: Final = 5
"""Points on each side of a grid."""


def over_crop(margin: float) -> NDArray[np.float32]:
    """Return the grid over the mean-face square without jitter, float32 [5, 5, 2] (x, y).

    Args:
        margin: Distance of the square from the border of the crop, pixels.
    """
    return _regular(margin, CROP_SIZE - margin)


def over_face(face_size: int) -> NDArray[np.float32]:
    """Return the regular grid on the network's face, to which the target is aligned, float32 [5, 5, 2] (x, y)."""
    return _regular(0, face_size)


def resize(face_size: int) -> NDArray[np.float32]:
    """Return the matrix, float32 [s, 5], that resizes 5 values linearly to 5/4 s, without s/8 rows at each end.

    FF++ resizes the grid's maps so, and cuts out the middle: 80x80 and 8:72 for a face of 64.
    """
    whole = face_size * SIDE // 4
    first = (whole - face_size) // 2
    position = (np.arange(first, first + face_size) + 0.5) * SIDE / whole - 0.5
    return np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(SIDE))).astype(np.float32)


def _regular(first: float, last: float) -> NDArray[np.float32]:
    line = np.linspace(first, last, SIDE, dtype=np.float32)
    return np.stack(np.meshgrid(line, line), axis=-1)
