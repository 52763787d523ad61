"""The implementation of the engine `centerface`: detection, tracking and landmarks.

CenterFace looks at whole frames once in a while, and in between at a small picture of the face. Each picture is turned
until the face is upright in it, because the predictor of the 68 landmarks was trained on upright faces.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from services.extractor.boxes import Box, iou
from services.extractor.engines.base import Engine, Tracker
from services.extractor.engines.centerface import WHEEL
from services.extractor.engines.centerface.network import CenterFace
from services.extractor.engines.centerface.predictor import Predictor
from services.extractor.engines.centerface.upright import Frame, box_of, cut, grown, turn_of

__all__ = ["CenterFaceEngine"]

# Height (or width, if smaller) that whole frames are reduced to, pixels. Faces of 18 pixels are found there.
_SIDE: Final = 360
# Side of the picture of a followed face, pixels; it shows two sides of the box.
_LOOK: Final = 128
# Faces score 0.7 to 0.95 in whole frames, and what is none scores less than 0.25.
_SURE: Final = 0.5
_NEAR: Final = 0.3
# In a picture of its own, a face that is turned by more than 60 degrees scores less than an upright one, and its eyes
# may be taken for its mouth. Below this score it is looked for at other turns, where it must score so much better.
_UPRIGHT: Final = 0.7
_BETTER: Final = 0.25
_TURNS: Final = (90.0, 180.0, 270.0)
# Degrees beyond which the eyes are found again in a picture that is turned by what they said at first.
_MAX_TURN: Final = 15.0
# Part of its sides by which a box grows for the second prediction of the landmarks.
_GROWTH: Final = 0.1
_SAME_FACE: Final = 0.3


@dataclass(frozen=True)
class _Seen:
    """A face in a picture that was cut out of a frame: its score, its box in the frame, and its turn in degrees."""

    score: float
    box: Box
    turn: float


class CenterFaceEngine(Engine):
    """The loaded engine `centerface`.

    Args:
        detector_weights: Weights of CenterFace.
        landmark_weights: Weights of dlib's 68-point predictor.

    Raises:
        DataLoss: a file is damaged (BAD_WEIGHTS).
    """

    def __init__(self, detector_weights: Path, landmark_weights: Path) -> None:
        self._network = CenterFace(detector_weights)
        self._predictor = Predictor(landmark_weights)
        self._last: tuple[Frame, bytes, Box, float] | None = None
        self.build = f"{WHEEL} {metadata.version(WHEEL)}, opencv {cv2.__version__}, {self._predictor.build}"

    def detect(self, frame: Frame) -> NDArray[np.float64]:
        """Find faces; see `Engine.detect`."""
        scale = min(1.0, _SIDE / min(frame.shape[:2]))
        size = [max(1, round(side * scale)) for side in frame.shape[1::-1]]
        picture = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        _, points = self._network.find(picture, _SURE)
        points = (points + 0.5) * frame.shape[1::-1] / size - 0.5
        return np.array([box_of(five) for five in points], dtype=np.float64).reshape(-1, 4)

    def near(self, frame: Frame, box: Box) -> NDArray[np.float64]:
        """Find faces near `box` that are about as large as it and may score low; see `Engine.near`."""
        seen = self._look(frame, box, 0.0, _NEAR)
        return np.array([face.box for face in seen], dtype=np.float64).reshape(-1, 4)

    def tracker(self, frame: Frame, box: Box) -> Tracker:
        """Make a tracker that looks near the last box, with the last turn; see `Engine.tracker`."""
        return _Follower(self, box, self._upright(frame, box)[1])

    def landmarks(self, frame: Frame, box: Box) -> NDArray[np.float32]:
        """Find the 68 landmarks in a picture with the face turned upright; see `Engine.landmarks`."""
        return self._predictor.points(_gray(frame), *self._upright(frame, box))

    def second_landmarks(self, frame: Frame, box: Box) -> NDArray[np.float32] | None:
        """Find the landmarks again, in a box that is a tenth larger; see `Engine.second_landmarks`."""
        found, turn = self._upright(frame, box)
        return self._predictor.points(_gray(frame), grown(found, _GROWTH), turn)

    def follow(self, frame: Frame, box: Box, turn: float) -> tuple[Box, float] | None:
        """Find a face that had this box and this turn a moment ago; None if it is not there."""
        seen = self._best(frame, box, turn, _SURE)
        return (seen.box, seen.turn) if seen else None

    def _upright(self, frame: Frame, box: Box) -> tuple[Box, float]:
        """Return box and turn of the face in `box`; if none is seen there, `box` and no turn.

        The result for the last box is kept, because landmarks are predicted twice.
        """
        key = box.tobytes()
        if self._last is None or self._last[0] is not frame or self._last[1] != key:
            seen = self._best(frame, box, 0.0, _NEAR)
            if seen is None or seen.score < _UPRIGHT:
                turned = [face for turn in _TURNS if (face := self._best(frame, box, turn, _NEAR))]
                best = max(turned, key=lambda face: face.score, default=None)
                if best is not None and (seen is None or best.score > seen.score + _BETTER):
                    seen = best
            self._last = frame, key, *((seen.box, seen.turn) if seen else (box, 0.0))
        return self._last[2:]

    def _best(self, frame: Frame, box: Box, turn: float, min_score: float) -> _Seen | None:
        """Return the face in `box`, by a second look if it is turned by more or less than was thought."""
        seen = self._in_box(frame, box, turn, min_score)
        if seen is not None and abs(seen.turn - turn) > _MAX_TURN:
            return self._in_box(frame, seen.box, seen.turn, min_score) or seen
        return seen

    def _in_box(self, frame: Frame, box: Box, turn: float, min_score: float) -> _Seen | None:
        near = [(iou(face.box, box), face) for face in self._look(frame, box, turn, min_score)]
        overlap, face = max(near, key=lambda pair: pair[0], default=(0.0, None))
        return face if overlap > _SAME_FACE else None

    def _look(self, frame: Frame, box: Box, turn: float, min_score: float) -> list[_Seen]:
        """Find the faces in a picture around `box`, turned upright by `turn` degrees."""
        picture, back = cut(frame, box, turn, _LOOK)
        scores, points = self._network.find(picture, min_score)
        return [
            _Seen(float(score), box_of(cv2.transform(five[None], back)[0]), turn + turn_of(five))
            for score, five in zip(scores, points, strict=True)
        ]


class _Follower(Tracker):
    """Follows a face and its turn, with one look at each frame."""

    def __init__(self, engine: CenterFaceEngine, box: Box, turn: float) -> None:
        self._engine, self._box, self._turn = engine, box, turn

    def update(self, frame: Frame) -> Box | None:
        found = self._engine.follow(frame, self._box, self._turn)
        if found is None:
            return None
        self._box, self._turn = found
        return self._box


def _gray(frame: Frame) -> Frame:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
