"""Finds the subject's face in each frame: detects it now and then, and tracks it in between.

The subject is the person whose face an extraction follows; a frame may show other faces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from facefoundry.faces.alignments import FOUND, NO_FACE, NOT_SEARCHED, OTHER_PERSON
from services.extractor.boxes import Box, iou, largest, nearest

if TYPE_CHECKING:
    from services.extractor.engines.base import Engine, Tracker

__all__ = ["SAME_FACE", "Choice", "NearestFace", "Sighting", "Subject", "is_cut", "motion", "thumbnail"]

Frame = NDArray[np.uint8]

SAME_FACE: Final = 0.3
"""Boxes with a larger intersection over union belong to the same face."""

# Frames for which the face is searched more closely after it was seen last, at its place and in the whole frame.
_MEMORY: Final = 48
# Side of the picture of a face, pixels, by whose grey levels its motion is measured.
_PATCH: Final = 32
# Mean difference of two thumbnails, in grey levels from 0 to 255. Talking heads and hand-held shots stay below 10.
_MIN_CUT_DIFFERENCE: Final = 25.0
_THUMBNAIL: Final = (32, 18)
# Rows and columns of a frame that are averaged into a row or column of the thumbnail; using all takes 10 times longer.
_SAMPLES: Final = 4


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


@dataclass(frozen=True)
class Sighting:
    """What is known about the subject in one frame.

    Attributes:
        box: The subject's box, float64 [4]; None if the frame does not show the subject.
        reason: A value of `alignments.REASONS`.
        seen: Number of faces of anybody that the detector found; `alignments.NOT_SEARCHED` if it did not run.
        tracked: Whether the box was found at the place of the last one, and not by the detector.
        motions: How much the pictures in the subject's box and in the box of the other face that moves most differ from
            the last frame in which the detector ran, mean grey levels; NaN unless there are several faces.
    """

    box: Box | None
    reason: int
    seen: int
    tracked: bool = False
    motions: tuple[float, float] = (float("nan"), float("nan"))


class Choice(Protocol):
    """Decides which of several faces is the subject's."""

    def pick(self, frame: Frame, boxes: NDArray[np.float64], last: Box | None) -> Box | None:
        """Return the subject's box.

        Args:
            frame: uint8 [h, w, 3], BGR.
            boxes: Boxes of all faces in the frame, float64 [k, 4], k >= 1.
            last: The last known box of the subject, [4]; None if the subject has not been seen.

        Returns:
            The box; None if none of the faces is the subject's.
        """

    def keeps(self, frame: Frame, box: Box) -> bool:
        """Return whether a box that was tracked from frame to frame still shows the subject."""

    def end_track(self) -> None:
        """Decide on all frames so far: a cut or a loss follows, after which a face may be another person's."""


class NearestFace:
    """Chooses as FF++ does: the largest face first, then the face nearest to the last box, whoever it is."""

    def pick(self, frame: Frame, boxes: NDArray[np.float64], last: Box | None) -> Box | None:
        """Return the box; see `Choice.pick`."""
        return largest(boxes) if last is None else nearest(boxes, last)

    def keeps(self, frame: Frame, box: Box) -> bool:
        """Return True; see `Choice.keeps`."""
        return True

    def end_track(self) -> None:
        """Do nothing; see `Choice.end_track`."""


class Subject:
    """Follows one subject through consecutive frames.

    The detector runs at least every `detect_every` frames. It also runs when the tracker loses the face, at a cut, on
    every frame while no face is found, and on the first frame after `restart`. In between the engine's tracker follows
    the face. Where the detector does not find the face that was followed, its last place is searched more closely, and
    if no face is there either the whole frame: in 48 frames after the last face, then in one of `detect_every`. With
    `detect_every` 1 every box is the detector's.

    Args:
        engine: Detects faces and starts trackers.
        detect_every: Largest number of frames from one detection to the next, at least 1.
        choice: Decides which face is the subject's; as FF++ by default.

    Attributes:
        detections: Number of frames the detector ran on.
    """

    def __init__(self, engine: Engine, detect_every: int, choice: Choice | None = None) -> None:
        self._engine = engine
        self._detect_every = detect_every
        self._choice = choice or NearestFace()
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
        self._searched: Frame | None = None
        self._age = self._lost = 0

    def follow(self, frame: Frame) -> Sighting:
        """Find the subject in the next frame, uint8 [h, w, 3] BGR."""
        box, cut, is_due = None, False, False
        if self._detect_every > 1:
            before, self._thumbnail = self._thumbnail, thumbnail(frame)
            cut = before is not None and is_cut(before, self._thumbnail)
            is_due = self._tracker is not None and self._age >= self._detect_every and not cut
            if self._tracker is not None and not is_due and not cut:
                box = self._tracker.update(frame)
        if box is not None and self._choice.keeps(frame, box):
            sighting = Sighting(box, FOUND, NOT_SEARCHED, tracked=True)
        else:
            if not is_due:
                self._choice.end_track()
            sighting = self._find(frame, cut)
        self._age += 1
        self._lost = 0 if sighting.box is not None else self._lost + 1
        self._last = self._last if sighting.box is None else sighting.box
        return sighting

    def _find(self, frame: Frame, cut: bool) -> Sighting:
        self.detections += 1
        self._tracker, self._age = None, 0
        boxes = detected = self._engine.detect(frame)
        is_recent = self._detect_every > 1 and not cut and self._lost < _MEMORY
        last = self._last if is_recent else None
        if last is not None and not any(iou(box, last) > SAME_FACE for box in detected):
            boxes = np.concatenate([detected, self._engine.near(frame, last)])
        box = self._picked(frame, boxes)
        if box is None and (self._lost < _MEMORY or self._lost % self._detect_every == 0):
            for unsure in self._engine.detect_unsure(frame):
                box = self._picked(frame, unsure)
                if box is not None or not len(boxes):
                    boxes = detected = unsure
                if box is not None:
                    break
        seen = min(len(detected), NOT_SEARCHED - 1)
        before, self._searched = self._searched, frame
        if box is None:
            return Sighting(None, OTHER_PERSON if len(boxes) else NO_FACE, seen)
        if self._detect_every > 1:
            self._tracker = self._engine.tracker(frame, box)
        is_detected = any(np.array_equal(box, other) for other in detected)
        return Sighting(box, FOUND, seen, not is_detected, _motions(before, frame, box, boxes))

    def _picked(self, frame: Frame, boxes: NDArray[np.float64]) -> Box | None:
        """Return the subject's box; None if none of the faces, if there are any, is the subject's."""
        return self._choice.pick(frame, boxes, self._last) if len(boxes) else None


def _motions(before: Frame | None, frame: Frame, box: Box, boxes: NDArray[np.float64]) -> tuple[float, float]:
    """Return the motions of the face in `box` and of the one that moves most of all others; see `Sighting.motions`."""
    others = [other for other in boxes if iou(other, box) <= SAME_FACE]
    if before is None or not others:
        return float("nan"), float("nan")
    return motion(before, frame, box), max(motion(before, frame, other) for other in others)


def motion(before: Frame, frame: Frame, box: Box) -> float:
    """Return how much the picture in a box differs between two frames, mean grey levels."""
    return float(np.abs(_patch(before, box) - _patch(frame, box)).mean())


def _patch(frame: Frame, box: Box) -> NDArray[np.float32]:
    """Return the picture in a box in grey levels, float32 [32, 32]; what lies outside the frame is 0."""
    matrix = np.array([[_PATCH / box[2], 0, 0], [0, _PATCH / box[3], 0]])
    matrix[:, 2] = -matrix[:, :2] @ box[:2]
    patch = cv2.warpAffine(frame, matrix, (_PATCH, _PATCH), flags=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(patch, cv2.COLOR_BGR2GRAY), dtype=np.float32)
