"""A tracker for engines with a slow detector: dlib's correlation filter moves the detected box with the face."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from services.extractor.engines.base import Tracker

__all__ = ["CorrelationTracker"]

# Peak-to-sidelobe ratio of the filter. It is 10 to 30 on a face; below 7 the patch is something else.
_MIN_RATIO: Final = 7.0


class CorrelationTracker(Tracker):
    """Follows a face with a filter learnt from its first frame; the box keeps the detector's proportions.

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
        """Find the face in the next frame; None when the filter matches nowhere or the face has left the frame."""
        if self._filter.update(_gray(frame)) < _MIN_RATIO:
            return None
        found = self._filter.get_position()
        center = found.dcenter()
        if not (0 <= center.x < frame.shape[1] and 0 <= center.y < frame.shape[0]):
            return None
        return np.array([found.left(), found.top(), found.width(), found.height()], dtype=np.float64)


def _gray(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
