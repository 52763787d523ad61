"""A tracker for engines whose detector is slow: dlib's correlation filter moves the detector's box along."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from services.extractor.engines.base import Tracker

__all__ = ["CorrelationTracker"]

# Peak-to-sidelobe ratio of the filter. On a face it is 10 to 30; below 7 the patch is something else.
_LOST_BELOW: Final = 7.0


class CorrelationTracker(Tracker):
    """A filter learnt on one face; the box keeps the detector's proportions.

    Args:
        frame: uint8 [h, w, 3], BGR, in which the face was detected.
        box: float64 [4], its box.
    """

    def __init__(self, frame: NDArray[np.uint8], box: NDArray[np.float64]) -> None:
        import dlib

        x, y, width, height = (float(value) for value in box)
        self._filter = dlib.correlation_tracker()
        self._filter.start_track(_gray(frame), dlib.drectangle(x, y, x + width - 1, y + height - 1))

    def update(self, frame: NDArray[np.uint8]) -> NDArray[np.float64] | None:
        """Move along; None when the filter fits nowhere or the face has left the frame."""
        if self._filter.update(_gray(frame)) < _LOST_BELOW:
            return None
        found = self._filter.get_position()
        center = found.dcenter()
        if not (0 <= center.x < frame.shape[1] and 0 <= center.y < frame.shape[0]):
            return None
        return np.array([found.left(), found.top(), found.width(), found.height()], dtype=np.float64)


def _gray(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
