"""Stretches the grey levels of dark and pale pictures, of which networks and predictors know none."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["RANGE", "stretched"]

RANGE: Final = 130.0
"""The range of levels, between the 2nd and the 98th percentile, that a picture is stretched to."""


def stretched(picture: NDArray[np.uint8], seen: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Stretch the levels of a dark or pale picture.

    Args:
        picture: uint8, of any shape; not changed.
        seen: Pixels of the picture whose range decides; with at least `RANGE` the picture is returned as it is.
    """
    low, high = np.percentile(seen, (2, 98))
    gain = RANGE / max(high - low, 1.0)
    if gain <= 1:
        return picture
    table = (np.arange(256) - low) * gain + min(low, 255 - RANGE)
    return np.asarray(cv2.LUT(picture, np.rint(np.clip(table, 0, 255)).astype(np.uint8)), dtype=np.uint8)
