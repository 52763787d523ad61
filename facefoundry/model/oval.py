"""The oval of an aligned face: where in its square a face is, and no background."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["weights"]

# Half of width and height, and the width of the soft edge, in sides of the square, whose centre is the oval's.
_HALVES: Final = (0.44, 0.52)
_EDGE: Final = 0.12


@cache
def weights(face_size: int) -> NDArray[np.float32]:
    """Return the weight of each pixel, float32 [face_size, face_size]: 1 in the oval, 0 outside, with a soft edge."""
    places = (np.arange(face_size) + 0.5) / face_size - 0.5
    radius = np.hypot(places[None, :] / _HALVES[0], places[:, None] / _HALVES[1])
    return np.clip(0.5 + (1 - radius) * min(_HALVES) / _EDGE, 0, 1).astype(np.float32)
