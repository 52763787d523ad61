"""Weights of a face's pixels in the loss: what a swap shows counts, and eyes and mouth count most."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from facefoundry.model import oval

__all__ = ["of_face"]

# The background is never pasted, but a decoder that learns nothing of it draws it into the face's edge.
_OUTSIDE: Final = 0.1
# Centre and standard deviations (x, y) in sides of the square, and how much more it counts. They are wide, because the
# augmentation moves faces by up to a twelfth of the side.
_EYES_AND_MOUTH: Final = (
    ((0.23, 0.21), (0.14, 0.09), 1.5),
    ((0.75, 0.21), (0.14, 0.09), 1.5),
    ((0.49, 0.82), (0.17, 0.1), 1.5),
)


@cache
def of_face(face_size: int) -> NDArray[np.float32]:
    """Return the weight of each pixel of an aligned face, float32 [face_size, face_size], with the mean 1."""
    places = (np.arange(face_size) + 0.5) / face_size
    made = _OUTSIDE + (1 - _OUTSIDE) * oval.weights(face_size).astype(np.float64)
    for (x, y), (across, down), gain in _EYES_AND_MOUTH:
        made += gain * np.exp(-0.5 * (((places - x) / across)[None, :] ** 2 + ((places - y) / down)[:, None] ** 2))
    return np.asarray(made / made.mean(), np.float32)
