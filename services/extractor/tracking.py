"""Finds the subject's face in each frame: detects it now and then, and tracks it in between.

The subject is the person whose face an extraction follows; a frame may show other faces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from services.extractor.boxes import Box, largest, nearest

if TYPE_CHECKING:
    from services.extractor.engines.base import Engine, Tracker

__all__ = ["Subject", "is_cut", "thumbnail"]

Frame = NDArray[np.uint8]

# Mean difference of two thumbnails, in grey levels from 0 to 255. Talking heads and hand-held shots stay below 10.
_MIN_CUT_DIFFERENCE: Final = 25.0
_THUMBNAIL: Final = (32, 18)
# Rows and columns of a frame that are averaged into a row or column of the thumbnail; using all takes 4 times longer.
_SAMPLES: Final = 8


def thumbnail(frame: Frame) -> Frame:
    """Shrink a frame, uint8 [h, w, 3], to a thumbnail for `is_cut`, uint8 [18, 32, 3].

    Of a large frame, only some rows and columns are averaged.
    """
    step = max(1, min(frame.shape[1] // _THUMBNAIL[0], frame.shape[0] // _THUMBNAIL[1]) // _SAMPLES)
    size = -(-frame.shape[1] // step), -(-frame.shape[0] // step)
    sampled = cv2.resize(frame, size, interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.resize(sampled, _THUMBNAIL, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def is_cut(before: Frame, after: Frame) -> bool:
    """Return whether there is a cut (a change of scene) between two consecutive frames, given their thumbnails."""
    return float(np.abs(before.astype(np.int16) - after.astype(np.int16)).mean()) > _MIN_CUT_DIFFERENCE


class Subject:
    """Follows one subject through consecutive frames.

    The subject is the largest face of the first frame that has a face. Afterwards it is the face nearest to the last
    known box. The detector runs at least every `detect_every` frames. It also runs when the tracker loses the face, at
    a cut, on every frame while no face is found, and on the first frame after `restart`. In between the engine's
    tracker follows the face. With `detect_every` 1 every box is the detector's.

    Args:
        engine: Detects faces and starts trackers.
        detect_every: Largest number of frames from one detection to the next, at least 1.

    Attributes:
        detections: Number of frames the detector ran on.
    """

    def __init__(self, engine: Engine, detect_every: int) -> None:
        self._engine = engine
        self._detect_every = detect_every
        self.detections = 0
        self.restart(None)

    def restart(self, box: ArrayLike | None) -> None:
        """Forget all earlier frames, so that further results depend on the given box alone.

        Args:
            box: The last known box of the subject, [4]; None if the subject has not been seen.
        """
        self._last = None if box is None else np.asarray(box, dtype=np.float64)
        self._tracker: Tracker | None = None
        self._thumbnail: Frame | None = None
        self._age = 0

    def follow(self, frame: Frame) -> Box | None:
        """Return the subject's box in the next frame, uint8 [h, w, 3] BGR; None if the frame has no face."""
        box = None
        if self._detect_every > 1:
            before, self._thumbnail = self._thumbnail, thumbnail(frame)
            cut = before is not None and is_cut(before, self._thumbnail)
            if self._tracker is not None and self._age < self._detect_every and not cut:
                box = self._tracker.update(frame)
        if box is None:
            box = self._find(frame)
        self._age += 1
        self._last = self._last if box is None else box
        return box

    def _find(self, frame: Frame) -> Box | None:
        self.detections += 1
        self._tracker, self._age = None, 0
        boxes = self._engine.detect(frame)
        if not len(boxes):
            return None
        box = largest(boxes) if self._last is None else nearest(boxes, self._last)
        if self._detect_every > 1:
            self._tracker = self._engine.tracker(frame, box)
        return box
