"""The implementation of the engine `dlib`: detection, tracking and landmarks.

dlib's detector scores windows of one size on a pyramid: the picture at ever smaller sizes, its levels. A window with a
high score is a face, so larger faces are found on smaller levels. A picture is first scaled until the shorter of its
height and width is about 360 pixels. Windows come in steps of a fifth of their size, so a face gets a box of its own
from the landmarks in its window. The tracker runs the same detector, but only near the last box.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from services.extractor.boxes import Box, iou, nearest, truncate_box
from services.extractor.engines.base import Engine, Tracker
from services.extractor.engines.dlib import predictor
from services.extractor.engines.dlib.near import NearDetector
from services.extractor.engines.dlib.tilt import tilt
from services.extractor.engines.dlib.views import SURE, Frame, Points, View, Viewer, box_of

__all__ = ["DlibEngine"]

# Height (or width, if smaller) that frames are reduced to, pixels: 360 takes a quarter of the time of 720.
_SIDE: Final = 360
# Where no face is found, the search is repeated at this enlargement.
_ENLARGEMENT: Final = 2.0
# Largest height (or width, if smaller), pixels, to which `detect_unsure` enlarges frames.
_MAX_ENLARGED: Final = 1440
# A window with this score holds an upright face of its size.
_UPRIGHT: Final = 0.5
# A box and a window with a larger intersection over union are at the same place.
_SAME_PLACE: Final = 0.5
# A face that moves so fast that its last box and its window overlap less has the window as its box.
_STAYS: Final = 0.7


@dataclass
class _Current:
    """What is known of the frame that was used last.

    Attributes:
        frame: uint8 [h, w, 3], BGR.
        gray: Its grey levels, uint8 [h, w].
        found: Boxes of the faces that were found, and their scores.
        views: The views of faces, by their boxes.
    """

    frame: Frame
    gray: Frame
    found: list[tuple[Box, float]] = field(default_factory=list)
    views: dict[bytes, View] = field(default_factory=dict)


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

        self._detector = dlib.get_frontal_face_detector()
        self._near = NearDetector(dlib, self._detector)
        self._viewer = Viewer(dlib, self._detector, landmark_weights)
        self._current: _Current | None = None
        self.build = predictor.build()

    def detect(self, frame: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Find faces; see `Engine.detect`."""
        current = self._at(frame)
        scale = _scale(current.gray)
        windows, scores = self._run(_reduced(current.gray, scale))
        if not len(windows):
            scale *= _ENLARGEMENT
            picture = _reduced(current.gray, scale)
            windows, scores = self._run(picture)
            sure = [
                score >= SURE or self._viewer.is_face(picture, window)
                for score, window in zip(scores, windows, strict=True)
            ]
            windows, scores = windows[sure], scores[sure]
        windows /= scale
        boxes = [_placed(self._viewer.points(current.gray, window), window) for window in windows]
        current.found += zip(boxes, scores.tolist(), strict=True)
        return np.array(boxes, np.float64).reshape(-1, 4)

    def detect_unsure(self, frame: NDArray[np.uint8]) -> Iterator[NDArray[np.float64]]:
        """Find what dlib's detector finds in colour, in the frame and then in the frame enlarged twice, at any score.

        Frames of more than 720 lines are enlarged to 1,440 lines, and larger ones not at all. See
        `Engine.detect_unsure`.
        """
        colour = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        side = min(colour.shape[:2])
        yield self._run(colour)[0]
        if 2 * side <= _MAX_ENLARGED:
            yield self._run(colour, 1)[0]
        elif side < _MAX_ENLARGED:
            scale = _MAX_ENLARGED / side
            yield self._run(_reduced(colour, scale))[0] / scale

    def tracker(self, frame: NDArray[np.uint8], box: NDArray[np.float64]) -> Tracker:
        """Make a tracker that runs the detector near the last box; see `Engine.tracker`."""
        points = self.view(frame, truncate_box(box)).points
        return _NearTracker(self, _placed(points, box), tilt(points))

    def near(self, frame: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.float64]:
        """Find faces near `box` that are about as large as it; the result is mostly what `detect` finds there.

        A tilted or partly hidden face, which scores too low to be found in a whole frame, is found too.

        Args:
            frame: uint8 [h, w, 3], BGR.
            box: Last box of the face, float64 [4].

        Returns:
            Boxes float64 [k, 4] in frame pixels, the best window of each face.
        """
        current = self._at(frame)
        boxes = np.zeros((0, 4))
        for scale in _scales(current.gray):
            windows, scores = self._near.search(_reduced(current.gray, scale), box * scale, _UPRIGHT)
            boxes = windows / scale
            if len(boxes):
                current.found += zip(boxes, scores, strict=True)
                break
        return boxes

    def follow(self, frame: NDArray[np.uint8], box: NDArray[np.float64], before: float) -> tuple[Box, float] | None:
        """Find a face that had a box and a tilt, in degrees, a frame before.

        Returns:
            The box of its landmarks, for which `landmarks` returns them, and its tilt; None if no face is near.
        """
        windows = self.near(frame, box)
        if not len(windows):
            return None
        window = nearest(windows, box)
        about = box if iou(window, box) > _STAYS else truncate_box(window)
        current = self._at(frame)
        view = self._viewer.look_again(current.gray, about, before) or self.view(frame, about)
        now = _placed(view.points, about)
        current.views[now.tobytes()] = view
        return now, tilt(view.points)

    def landmarks(self, frame: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.float32]:
        """Find the 68 landmarks; see `Engine.landmarks`. A tilted face is turned upright first."""
        return self.view(frame, box).points

    def second_landmarks(self, frame: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.float32] | None:
        """Find the landmarks again, in a box that is a tenth larger; see `Engine.second_landmarks`."""
        return self._viewer.second_points(self.view(frame, box))

    def view(self, frame: NDArray[np.uint8], box: NDArray[np.float64]) -> View:
        """Return the view of the face in a box, float64 [4]. Those of the last frame are kept."""
        current, key = self._at(frame), box.tobytes()
        if key not in current.views:
            is_upright = any(score >= _UPRIGHT and iou(other, box) > _SAME_PLACE for other, score in current.found)
            current.views[key] = self._viewer.look(current.gray, box, is_upright=is_upright)
        return current.views[key]

    def _at(self, frame: Frame) -> _Current:
        """Return what is known of a frame; what was known of another one is forgotten."""
        if self._current is None or self._current.frame is not frame:
            self._current = _Current(frame, np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), dtype=np.uint8))
        return self._current

    def _run(self, picture: Frame, upsamplings: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Run the detector; return windows [k, 4] and scores [k]."""
        faces, scores, _ = self._detector.run(picture, upsamplings, 0.0)
        windows = [(face.left(), face.top(), face.width(), face.height()) for face in faces]
        return np.array(windows, np.float64).reshape(-1, 4), np.array(scores, np.float64)


class _NearTracker(Tracker):
    """Follows a face by running the detector near its last box.

    The windows of the detector say where a face is to some pixels only. So landmarks are predicted in the box of those
    of the frame before, unless the detector sees the face elsewhere.
    """

    def __init__(self, engine: DlibEngine, box: Box, tilt: float) -> None:
        self._engine, self._box, self._tilt = engine, box, tilt

    def update(self, frame: NDArray[np.uint8]) -> NDArray[np.float64] | None:
        followed = self._engine.follow(frame, self._box, self._tilt)
        if followed is None:
            return None
        self._box, self._tilt = followed
        return self._box


def _placed(points: Points, about: Box) -> Box:
    """Return the box of landmarks that were predicted in a box; that box itself if they are at another place."""
    box = box_of(points)
    return box if iou(box, about) > _SAME_PLACE else about


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
