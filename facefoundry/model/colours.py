"""Standard colours: each channel of each face gets one mean and one deviation before it is encoded.

The decoder's face then gets the mean and deviation of the face that was given. So the encoder sees no light and no
colour cast, by which it could tell two people apart, and a swapped face has the colours of the target's.

Keras and NumPy compute the same: the statistics are arguments, and everything else is arithmetic of either's arrays.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

__all__ = ["FLOOR", "original", "standard"]

Array: TypeAlias = Any  # a NumPy array, or a tensor of the Keras backend, which has no types

FLOOR: Final = 1e-4
"""Added to a variance, so that a channel of one value has a deviation too."""

# Two thirds of a decoder's face lie within 0.18 of its middle, 0.5, and hardly any pixel is out of the sigmoid's reach.
_DEVIATION: Final = 0.18
# The deviation of what the encoder sees, around 0: with more, or around another middle, trainings were less stable.
_SEEN: Final = 2 * _DEVIATION


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
