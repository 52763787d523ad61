"""The implementation of the engine `dlib`: detection, tracking and landmarks.

dlib's detector scores windows of one size on a pyramid: the picture at ever smaller sizes, its levels. A window with a
high score is a face, so larger faces are found on smaller levels. A picture is first scaled until the shorter of its
height and width is about 360 pixels. The tracker runs the same detector, but only near the last box.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from services.extractor.boxes import Box, iou, nearest
from services.extractor.engines.base import Engine, Tracker
from services.extractor.engines.dlib import predictor
from services.extractor.engines.dlib.near import SAME_FACE, Dlib, NearDetector
from services.extractor.engines.dlib.tilt import apart, tilt, upright

__all__ = ["DlibEngine"]

Frame = NDArray[np.uint8]
Points = NDArray[np.float32]

# Height (or width, if smaller) that frames are reduced to, pixels: 360 takes a quarter of the time of 720.
_SIDE: Final = 360
# Where no face is found, the search is repeated at this enlargement. A helmet or a camera may score 0.25 there, and so
# may a tilted, blurred or partly hidden face. A score below _SURE is a face if its landmarks are steady (0.02 to 0.035
# on faces, 0.058 and more on helmets and cameras), or if it scores _SURE turned upright.
_ENLARGEMENT: Final = 2.0
_SURE: Final = 0.4
_STEADY: Final = 0.042
# Largest height (or width, if smaller), pixels, to which `detect_unsure` enlarges frames.
_MAX_ENLARGED: Final = 1440
# The predictor was trained on upright faces: faces tilted by more, degrees, are turned upright before it.
_MAX_TILT: Final = 20.0
# A face with this score is upright, and not searched for at other tilts.
_UPRIGHT: Final = 0.5
# Boxes of one search with a larger intersection over union are the same, but for rounding.
_SAME_BOX: Final = 0.9
# Width of a face, pixels, at which the tilt is searched for.
_WIDTH: Final = 110.0
# What is searched around a face that is turned upright, in widths and heights of its box on each side.
_MARGIN: Final = 0.5
_MORE_TILTS: Final = (0.0, -25.0, 25.0, -45.0, 45.0)
# Part of its width by which a box grows for the second prediction of the points. Boxes come in steps of a fifth.
_GROWTH: Final = 0.1


class _View(NamedTuple):
    """A face as the predictor sees it.

    Attributes:
        points: Its landmarks, float32 [68, 2] in frame pixels.
        picture: The frame in grey levels; for a tilted face the part with the face, turned upright.
        box: The face's box in the picture.
        back: Matrix float64 [2, 3] from the points of the picture to those of the frame; None if they are the same.
    """

    points: Points
    picture: Frame
    box: Box
    back: NDArray[np.float64] | None = None


class DlibEngine(Engine):
    """The loaded engine `dlib`. A frame without a face is searched again, at larger sizes.

    Landmarks are whole pixels, because dlib's predictor rounds them.

    Args:
        landmark_weights: Weights of the 68-point predictor.

    Raises:
        DataLoss: the weights are damaged (BAD_WEIGHTS).
        Internal: this version of dlib stores detectors in another format (DLIB_VERSION).
    """

    def __init__(self, landmark_weights: Path) -> None:
        import dlib

        self._dlib = dlib
        self._detector = dlib.get_frontal_face_detector()
        self._near = NearDetector(dlib, self._detector)
        self._predictor = predictor.load(landmark_weights)
        self._grays: tuple[Frame, Frame] | None = None
        self._found: tuple[Frame, NDArray[np.float64], Sequence[float]] | None = None
        self._view: tuple[Frame, bytes, _View] | None = None
        self.build = predictor.build()

    def detect(self, frame: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Find faces; see `Engine.detect`."""
        gray = self._gray(frame)
        scale = _scale(gray)
        faces, scores, _ = self._detector.run(_reduced(gray, scale), 0, 0.0)
        boxes = _boxes(faces)
        if not len(boxes):
            scale *= _ENLARGEMENT
            picture = _reduced(gray, scale)
            faces, scores, _ = self._detector.run(picture, 0, 0.0)
            boxes = _boxes(faces)
            sure = [score >= _SURE or self._is_face(picture, box) for score, box in zip(scores, boxes, strict=True)]
            boxes, scores = boxes[sure], [score for score, is_sure in zip(scores, sure, strict=True) if is_sure]
        found: NDArray[np.float64] = boxes / scale
        self._found = frame, found, scores
        return found

    def detect_unsure(self, frame: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Find what dlib's detector finds in colour, in the frame and in the frame enlarged twice, whatever its score.

        Frames of more than 720 lines are enlarged to 1,440 lines, and larger ones not at all. See
        `Engine.detect_unsure`.
        """
        colour = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        side = min(colour.shape[:2])
        boxes = _boxes(self._detector.run(colour, 0, 0.0)[0])
        if len(boxes) or side >= _MAX_ENLARGED:
            return boxes
        if 2 * side <= _MAX_ENLARGED:
            return _boxes(self._detector.run(colour, 1, 0.0)[0])
        scale = _MAX_ENLARGED / side
        enlarged = _boxes(self._detector.run(_reduced(colour, scale), 0, 0.0)[0])
        return np.asarray(enlarged / scale, dtype=np.float64)

    def tracker(self, frame: NDArray[np.uint8], box: NDArray[np.float64]) -> Tracker:
        """Make a tracker that runs the detector near the last box; see `Engine.tracker`."""
        return _NearTracker(self, box)

    def near(self, frame: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.float64]:
        """Find faces near `box` that are about as large as it; the result is mostly what `detect` finds there.

        A tilted or partly hidden face, which scores too low to be found in a whole frame, is found too.

        Args:
            frame: uint8 [h, w, 3], BGR.
            box: Last box of the face, float64 [4].

        Returns:
            Boxes float64 [k, 4] in frame pixels, the best window of each face.
        """
        gray = self._gray(frame)
        boxes = np.zeros((0, 4))
        for scale in _scales(gray):
            windows, scores = self._near.search(_reduced(gray, scale), box * scale)
            boxes = windows / scale
            if len(boxes):
                self._found = frame, boxes, scores
                break
        return boxes

    def landmarks(self, frame: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.float32]:
        """Find the 68 landmarks; see `Engine.landmarks`. A tilted face is turned upright first."""
        return self._viewed(frame, box).points

    def second_landmarks(self, frame: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.float32] | None:
        """Find the landmarks again, in a box that is a tenth larger; see `Engine.second_landmarks`."""
        view = self._viewed(frame, box)
        return _turned_back(self._points(view.picture, _grown(view.box)), view.back)

    def _gray(self, frame: Frame) -> Frame:
        """Return the frame in grey levels. Those of the last call are kept."""
        if self._grays is None or self._grays[0] is not frame:
            self._grays = frame, np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
        return self._grays[1]

    def _viewed(self, frame: Frame, box: Box) -> _View:
        """Return the view of the face in a box. That of the last call is kept."""
        key = box.tobytes()
        if self._view is None or self._view[0] is not frame or self._view[1] != key:
            self._view = frame, key, self._make_view(frame, box)
        return self._view[2]

    def _make_view(self, frame: Frame, box: Box) -> _View:
        gray = self._gray(frame)
        points = self._points(gray, box)
        angle = tilt(points)
        is_tilted = abs(angle) > _MAX_TILT
        if not is_tilted and (self._is_sure(frame, box) or self._is_steady(gray, box, points)):
            return _View(points, gray, box)
        # Points that were predicted in a tilted face say only roughly by how much it is tilted, or not at all.
        tilts = [(angle if is_tilted else 0.0) + more for more in _MORE_TILTS]
        shrink = min(1.0, _WIDTH / float(box[2]))
        small = np.asarray(cv2.resize(gray, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        found: list[tuple[float, Box]] = []
        for each in tilts:
            found.append(self._best(small, box * shrink, each))
            if found[0][0] >= _UPRIGHT:
                break
        best = max(range(len(found)), key=lambda place: found[place][0])
        if not is_tilted and (best == 0 or math.isinf(found[best][0])):
            return _View(points, gray, box)
        turned, inside, back = upright(gray, box, tilts[best])
        # The box that was found, from its place in the smaller picture with a smaller margin.
        offset, size = found[best][1][:2] / shrink, found[best][1][2:] / shrink
        inside = np.concatenate([inside[:2] + offset - _MARGIN * box[2:], size])
        return _View(_turned_back(self._points(turned, inside), back), turned, inside, back)

    def _is_sure(self, frame: Frame, box: Box) -> bool:
        """Return whether the last search was in this frame, and gave the face in a box the score of an upright face."""
        if self._found is None or self._found[0] is not frame:
            return False
        return any(
            score >= _UPRIGHT and iou(other, box) > _SAME_BOX for other, score in zip(*self._found[1:], strict=True)
        )

    def _is_steady(self, picture: Frame, box: Box, points: Points) -> bool:
        """Return whether the landmarks in a box hardly differ from those in a larger one."""
        return apart(points, self._points(picture, _grown(box))) <= _STEADY

    def _points(self, gray: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.float32]:
        x, y, width, height = (float(value) for value in box)
        face = self._dlib.rectangle(round(x), round(y), round(x + width) - 1, round(y + height) - 1)
        shape = self._predictor(gray, face)
        return np.array([(point.x, point.y) for point in shape.parts()], dtype=np.float32)

    def _best(self, picture: NDArray[np.uint8], box: Box, angle: float) -> tuple[float, Box]:
        """Turn the face in a box upright, and find it again.

        Returns:
            Its score and its box in what `upright` cuts out with the margin `_MARGIN`; minus infinity and the place of
            the given box if no face is there.
        """
        turned, inside, _ = upright(picture, box, angle, _MARGIN)
        faces, scores, _ = self._detector.run(turned, 0, -_SURE)
        near = [pair for pair in zip(scores, _boxes(faces), strict=True) if iou(pair[1], inside) > SAME_FACE]
        return max(near, key=lambda pair: float(pair[0]), default=(-math.inf, inside))

    def _is_face(self, picture: NDArray[np.uint8], box: NDArray[np.float64]) -> bool:
        """Return whether a box that scores low holds a face: its landmarks are steady, or it scores well upright."""
        points = self._points(picture, box)
        if self._is_steady(picture, box, points):
            return True
        angle = tilt(points)
        return abs(angle) > _MAX_TILT and self._best(picture, box, angle)[0] >= _SURE


class _NearTracker(Tracker):
    """Follows a face by running the detector near its last box."""

    def __init__(self, engine: DlibEngine, box: NDArray[np.float64]) -> None:
        self._engine = engine
        self._box = box

    def update(self, frame: NDArray[np.uint8]) -> NDArray[np.float64] | None:
        boxes = self._engine.near(frame, self._box)
        if not len(boxes):
            return None
        self._box = nearest(boxes, self._box)
        return self._box


def _boxes(faces: Dlib) -> NDArray[np.float64]:
    found = [(face.left(), face.top(), face.width(), face.height()) for face in faces]
    return np.array(found, dtype=np.float64).reshape(-1, 4)


def _turned_back(points: Points, back: NDArray[np.float64] | None) -> Points:
    """Map points of a picture to whole pixels of the frame."""
    return points if back is None else np.rint(cv2.transform(points[None], back)[0]).astype(np.float32)


def _grown(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the box grown by a tenth about its centre."""
    margin = box[2:] * _GROWTH / 2
    return np.concatenate([box[:2] - margin, box[2:] + 2 * margin])


def _scale(gray: NDArray[np.uint8]) -> float:
    return min(1.0, _SIDE / float(min(gray.shape)))


def _scales(gray: NDArray[np.uint8]) -> tuple[float, float, float]:
    """Return the scales at which a place is searched, one after the other; the last is the frame's own if near."""
    scale, own = _scale(gray), min(gray.shape) / _SIDE
    return scale, scale * _ENLARGEMENT, scale * (own if 1.1 < own < 1.9 else 1.4)


def _reduced(picture: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    if (height, width) == picture.shape[:2]:
        return picture
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (width, height), interpolation=method), dtype=np.uint8)
