"""Standard colours: each channel of each face gets one mean and one deviation before it is encoded.

The decoder's face then gets the mean and deviation of the face that was given. So the encoder sees no light and no
colour cast, by which it could tell two people apart, and a swapped face has the colours of the target's. Both are those
of an oval in the face, so that no background changes them.

Keras and NumPy compute the same: the statistics are arguments, and everything else is arithmetic of either's arrays.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facefoundry.model import oval

__all__ = ["FLOOR", "original", "shares", "standard"]

Array: TypeAlias = Any  # a NumPy array, or a tensor of the Keras backend, which has no types

FLOOR: Final = 1e-4
"""Added to a variance, so that a channel of one value has a deviation too."""

# Two thirds of a decoder's face lie within 0.18 of its middle, 0.5, and hardly any pixel is out of the sigmoid's reach.
_DEVIATION: Final = 0.18
# The deviation of what the encoder sees, around 0: with more, or around another middle, trainings were less stable.
_SEEN: Final = 2 * _DEVIATION


def shares(face_size: int) -> NDArray[np.float32]:
    """Return the share of each pixel in mean and variance, float32 [1, s, s, 1]; their sum is 1."""
    weights = oval.weights(face_size)
    return np.asarray((weights / weights.sum())[None, :, :, None], np.float32)


def standard(faces: Array, mean: Array, deviation: Array) -> Array:
    """Return faces in standard colours, as the encoder sees them, around 0.

    Args:
        faces: [n, s, s, 3], float32 in [0, 1].
        mean: Mean of each channel of each face, [n, 1, 1, 3].
        deviation: The square roots of their variances plus `FLOOR`, [n, 1, 1, 3].
    """
    return (faces - mean) * (_SEEN / deviation)


def original(decoded: Array, mean: Array, deviation: Array) -> Array:
    """Return a decoder's faces in the colours of the faces that were encoded; arguments as in `standard`.

    Values may lie a little outside [0, 1].
    """
    return (decoded - 0.5) * (deviation / _DEVIATION) + mean
