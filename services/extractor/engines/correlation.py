"""A tracker for engines with a slow detector: dlib's correlation filter finds where the detected box has moved.

A correlation filter is learnt from the pixels in the box. Its response to the next frame has a peak where that frame
looks like these pixels.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from services.extractor.engines.base import Tracker

__all__ = ["CorrelationTracker"]

# How far the peak of the filter's response stands out (peak-to-sidelobe ratio): 10 to 30 on a face, below 7 elsewhere.
_MIN_RATIO: Final = 7.0


class CorrelationTracker(Tracker):
    """Follows a face with a filter that is learnt from its pixels; the box keeps its proportions.

    Args:
        frame: Frame in which the face was detected, uint8 [h, w, 3], BGR.
        box: The face's box, float64 [4].
    """

    def __init__(self, frame: NDArray[np.uint8], box: NDArray[np.float64]) -> None:
        import dlib

        x, y, width, height = (float(value) for value in box)
        self._filter = dlib.correlation_tracker()
        self._filter.start_track(_gray(frame), dlib.drectangle(x, y, x + width - 1, y + height - 1))

    def update(self, frame: NDArray[np.uint8]) -> NDArray[np.float64] | None:
        """Return the face's box in the next frame; None if the filter matches nowhere or the face left the frame."""
        if self._filter.update(_gray(frame)) < _MIN_RATIO:
            return None
        found = self._filter.get_position()
        center = found.dcenter()
        if not (0 <= center.x < frame.shape[1] and 0 <= center.y < frame.shape[0]):
            return None
        return np.array([found.left(), found.top(), found.width(), found.height()], dtype=np.float64)


def _gray(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
