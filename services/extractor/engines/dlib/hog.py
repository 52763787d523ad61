"""The implementation of the engine `dlib`: detection, tracking and landmarks.

dlib's detector scores windows of one size on a pyramid: the picture at ever smaller sizes, its levels. A window with a
high score is a face, so larger faces are found on smaller levels. A picture is first scaled until the shorter of its
height and width is about 360 pixels. The tracker runs the same detector, but only near the last box.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry.errors import DataLoss, Internal
from services.extractor.boxes import iou, nearest
from services.extractor.engines.base import Engine, Tracker
from services.extractor.engines.dlib import ENGINE, WHEEL

__all__ = ["DlibEngine", "single_level"]

Frame = NDArray[np.uint8]
Points = NDArray[np.float32]
Dlib: TypeAlias = Any  # dlib has no types: the module, or an object of it

# Height (or width, if smaller) that frames are reduced to, pixels: 360 takes a quarter of the time of 720.
_SIDE: Final = 360
# Where no face is found, the search is repeated at these enlargements. A helmet or a camera may score 0.25 there, and
# so may a tilted, blurred or partly hidden face. A score below _SURE is a face near the last box, or if its landmarks
# are steady (0.02 to 0.035 on faces, 0.058 and more on helmets and cameras), or if it scores _SURE turned upright.
_ENLARGEMENTS: Final = (1.0, 2.0, 1.4)
_SURE: Final = 0.4
_STEADY: Final = 0.042
# The predictor was trained on upright faces: faces tilted by more, degrees, are turned upright before it.
_MAX_TILT: Final = 20.0
# A face with this score is upright, and not searched for at other tilts.
_UPRIGHT: Final = 0.9
# Width of a face, pixels, at which the tilt is searched for.
_WIDTH: Final = 110.0
_MORE_TILTS: Final = (0.0, -25.0, 25.0, -45.0, 45.0)
# Part of its width by which a box grows for the second prediction of the points. Boxes come in steps of a fifth.
_GROWTH: Final = 0.1
# The detector's smallest box, pixels, and the factor between neighbouring levels of its pyramid.
_MIN_BOX: Final = 73
_STEP: Final = 6 / 5
# dlib adds this to a point of a level before it scales the point to the next larger level.
_OFFSET: Final = 0.3
# Side of the cells that the detector's windows are aligned to, pixels.
_CELL: Final = 8
# Cells that a tracker searches beyond the last box, on each side of each level: two for the motion of the box, and two
# for windows that reach beyond the box.
_REACH: Final = 4
# Boxes with a larger intersection over union belong to the same face.
_SAME_FACE: Final = 0.3
# The smallest side of a level, except the first.
_MIN_SIDE: Final = 64
# Bytes of a stored detector that set the largest number of levels, 1000 or 1, and their smallest side, 64.
_ALL_LEVELS: Final = b"\x02\xe8\x03\x01\x40\x01\x40"
_ONE_LEVEL: Final = b"\x01\x01\x01\x40\x01\x40"


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
        self._near_detector = single_level(dlib, self._detector)
        try:
            self._predictor = dlib.shape_predictor(str(landmark_weights))
        except RuntimeError as error:
            message = (
                f"Expected {landmark_weights} to contain landmark weights of dlib. dlib cannot read the file. "
                f"{ENGINE.remedy}"
            )
            raise DataLoss(message, reason="BAD_WEIGHTS", resource=landmark_weights.name) from error
        self._last: tuple[tuple[int, bytes], Frame, tuple[Points, Points]] | None = None
        self.build = f"dlib {dlib.__version__}, {WHEEL} {metadata.version(WHEEL)}"

    def detect(self, frame: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Find faces; see `Engine.detect`."""
        gray = _gray(frame)
        boxes = np.zeros((0, 4))
        for zoom in _zooms(gray):
            scale = _scale(gray) * zoom
            picture = searched = _reduced(gray, scale)
            if zoom == _zooms(gray)[-1]:
                # Blurred faces score higher in colour, which takes three times as long.
                colour = cv2.resize(frame, picture.shape[::-1], interpolation=cv2.INTER_AREA)
                searched = np.asarray(cv2.cvtColor(colour, cv2.COLOR_BGR2RGB), dtype=np.uint8)
            faces, scores, _ = self._detector.run(searched, 0, 0.0)
            boxes = _boxes(faces)
            if zoom > 1:
                sure = [score >= _SURE or self._is_face(picture, box) for score, box in zip(scores, boxes, strict=True)]
                boxes = boxes[np.array(sure, dtype=bool)]
            boxes = boxes / scale
            if len(boxes):
                break
        return boxes

    def tracker(self, frame: NDArray[np.uint8], box: NDArray[np.float64]) -> Tracker:
        """Make a tracker that runs the detector near the last box; see `Engine.tracker`."""
        return _NearTracker(self, box)

    def near(self, frame: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.float64]:
        """Find faces near `box` that are about as large as it; the result is mostly what `detect` finds there.

        A tilted or partly hidden face, which scores too low to be found in a whole frame, is found too.

        Three levels of the pyramid are searched near the box: the level at which its face fits the window, and the two
        neighbouring levels. The region is aligned to the cells of its level, so the same windows are scored as in
        `detect`.

        Args:
            frame: uint8 [h, w, 3], BGR.
            box: Last box of the face, float64 [4].

        Returns:
            Boxes float64 [k, 4] in frame pixels, the best window of each face.
        """
        gray = _gray(frame)
        boxes = np.zeros((0, 4))
        for zoom in _zooms(gray):
            scale = _scale(gray) * zoom
            boxes = self._around(_reduced(gray, scale), box * scale, 0.0) / scale
            if len(boxes):
                break
        return boxes

    def _around(self, picture: NDArray[np.uint8], box: NDArray[np.float64], min_score: float) -> NDArray[np.float64]:
        """Search three levels of the picture's pyramid around `box`, and return the best window of each face, [k, 4].

        The picture and the box have the same scale; `min_score` is the lowest score of a face.
        """
        own = max(0, round(math.log(box[2] / _MIN_BOX) / math.log(_STEP)))
        shapes: list[tuple[int, ...]] = [picture.shape]
        scored: list[tuple[float, NDArray[np.float64]]] = []
        for level in range(own + 2):
            if level >= own - 1 and (level == 0 or min(shapes[-1]) >= _MIN_SIDE):
                scored += self._windows(picture, shapes, box, min_score)
            shapes.append(tuple(side * 5 // 6 for side in shapes[-1]))
        kept: list[NDArray[np.float64]] = []
        for _, window in sorted(scored, key=lambda each: -each[0]):
            if all(iou(window, better) <= _SAME_FACE for better in kept):
                kept.append(window)
        return np.array(kept, np.float64).reshape(-1, 4)

    def _windows(
        self,
        picture: NDArray[np.uint8],
        shapes: Sequence[tuple[int, ...]],
        box: NDArray[np.float64],
        min_score: float,
    ) -> list[tuple[float, NDArray[np.float64]]]:
        """Search the smallest level of a pyramid around `box`.

        Args:
            picture: uint8 [h, w], the first and largest level of the pyramid.
            shapes: Shapes of all levels down to the one that is searched.
            box: float64 [4], pixels of `picture`.
            min_score: Lowest score of a face.

        Returns:
            (score, window) of each face; the window is x, y, width and height in pixels of `picture`.
        """
        x, y, width, height = box.tolist()
        bands = []
        for center in (x + width / 2, y + height / 2):
            for _ in shapes[1:]:
                center = center / _STEP - _OFFSET
            first = max(math.floor((center - _MIN_BOX / 2) / _CELL) - _REACH, 0) * _CELL
            last = max(math.ceil((center + _MIN_BOX / 2) / _CELL) + _REACH, 0) * _CELL
            bands.append(slice(first, last))
        columns, rows = bands
        region = _region(picture, shapes, rows, columns)
        if not region.size:
            return []
        faces, scores, _ = self._near_detector.run(region, 0, min_score)
        corner = np.array([columns.start, rows.start] * 2)
        windows = []
        for face, score in zip(faces, scores, strict=True):
            edges = np.array([face.left(), face.top(), face.right(), face.bottom()]) + corner
            for _ in shapes[1:]:
                edges = (edges + _OFFSET) * _STEP
            edges = np.rint(edges)
            windows.append((float(score), np.concatenate([edges[:2], edges[2:] - edges[:2] + 1])))
        return windows

    def landmarks(self, frame: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.float32]:
        """Find the 68 landmarks; see `Engine.landmarks`. A tilted face is turned upright first."""
        return self._landmarks(frame, box)[0]

    def second_landmarks(self, frame: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.float32] | None:
        """Find the landmarks again, in a box that is a tenth larger; see `Engine.second_landmarks`."""
        return self._landmarks(frame, box)[1]

    def _landmarks(self, frame: Frame, box: NDArray[np.float64]) -> tuple[Points, Points]:
        """Return the landmarks in a box and in the larger one. Those of the last call are kept."""
        key = id(frame), box.tobytes()
        if self._last is None or self._last[0] != key:
            self._last = key, frame, self._predicted(_gray(frame), box)
        return self._last[2]

    def _predicted(self, gray: Frame, box: NDArray[np.float64]) -> tuple[Points, Points]:
        points, second = self._points(gray, box), self._points(gray, _grown(box))
        tilt = _tilt(points)
        is_tilted = abs(tilt) > _MAX_TILT
        if not is_tilted and _apart(points, second) <= _STEADY:
            return points, second
        # Points that were predicted in a tilted face say only roughly by how much it is tilted, or not at all.
        center = tilt if is_tilted else 0.0
        tilts = [center + more for more in _MORE_TILTS]
        shrink = min(1.0, _WIDTH / float(box[2]))
        small = cv2.resize(gray, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        found: list[tuple[float, NDArray[np.float64]]] = []
        for tilt in tilts:
            found.append(self._best(*_upright(np.asarray(small, dtype=np.uint8), box * shrink, tilt)[:2]))
            if found[0][0] >= _UPRIGHT:
                break
        best = max(range(len(found)), key=lambda place: found[place][0])
        if not is_tilted and (best == 0 or math.isinf(found[best][0])):
            return points, second
        upright, _, back = _upright(gray, box, tilts[best])
        inside = found[best][1] / shrink
        both = np.stack([self._points(upright, inside), self._points(upright, _grown(inside))])
        first, other = np.rint(cv2.transform(both, back)).astype(np.float32)
        return first, other

    def _points(self, gray: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.float32]:
        x, y, width, height = (float(value) for value in box)
        face = self._dlib.rectangle(round(x), round(y), round(x + width) - 1, round(y + height) - 1)
        shape = self._predictor(gray, face)
        return np.array([(point.x, point.y) for point in shape.parts()], dtype=np.float32)

    def _best(self, picture: NDArray[np.uint8], box: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return score and box of the best face near a box; minus infinity and the given box if there is none."""
        faces, scores, _ = self._detector.run(picture, 0, -_SURE)
        near = [pair for pair in zip(scores, _boxes(faces), strict=True) if iou(pair[1], box) > _SAME_FACE]
        return max(near, key=lambda pair: float(pair[0]), default=(-math.inf, box))

    def _is_face(self, picture: NDArray[np.uint8], box: NDArray[np.float64]) -> bool:
        """Return whether a box that scores low holds a face: its landmarks are steady, or it scores well upright."""
        points = self._points(picture, box)
        if _apart(points, self._points(picture, _grown(box))) <= _STEADY:
            return True
        tilt = _tilt(points)
        return abs(tilt) > _MAX_TILT and self._best(*_upright(picture, box, tilt)[:2])[0] >= _SURE


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


def single_level(dlib: Dlib, detector: Dlib) -> Dlib:
    """Make a copy of a detector that searches the given picture only, without the smaller levels of a pyramid.

    Raises:
        Internal: this version of dlib stores detectors in another format (DLIB_VERSION).
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "detector"
        detector.save(str(path))
        data = path.read_bytes()
        if data.count(_ALL_LEVELS) != 1:
            message = (
                f"Expected dlib 20. Received dlib {dlib.__version__}, which stores detectors in another format. "
                f"{ENGINE.remedy}"
            )
            raise Internal(message, reason="DLIB_VERSION")
        path.write_bytes(data.replace(_ALL_LEVELS, _ONE_LEVEL))
        return dlib.fhog_object_detector(str(path))


def _region(
    picture: NDArray[np.uint8], shapes: Sequence[tuple[int, ...]], rows: slice, columns: slice
) -> NDArray[np.uint8]:
    """Compute a region of the smallest level of a pyramid, from only those pixels of the other levels that it needs.

    As in dlib, the corner pixels of all levels are the same points.

    Args:
        picture: uint8 [h, w], the first and largest level.
        shapes: Shapes of all levels.
        rows: Rows of the region in the smallest level.
        columns: Columns of the region in the smallest level.
    """
    bands = [slice(*band.indices(side)) for band, side in zip((rows, columns), shapes[-1], strict=True)]
    height, width = (band.stop - band.start for band in bands)
    if len(shapes) == 1 or height <= 0 or width <= 0:
        return np.ascontiguousarray(picture[bands[0], bands[1]])
    steps = [(below - 1) / max(above - 1, 1) for below, above in zip(shapes[-2], shapes[-1], strict=True)]
    taken = [
        slice(math.floor(band.start * step), math.ceil((band.stop - 1) * step) + 1)
        for band, step in zip(bands, steps, strict=True)
    ]
    below = _region(picture, shapes[:-1], *taken)
    (down, across), (top, left) = (
        steps,
        (b.start * step - t.start for b, step, t in zip(bands, steps, taken, strict=True)),
    )
    matrix = np.array([[across, 0, left], [0, down, top]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    made = cv2.warpAffine(below, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(made, dtype=np.uint8)


def _boxes(faces: Dlib) -> NDArray[np.float64]:
    found = [(face.left(), face.top(), face.width(), face.height()) for face in faces]
    return np.array(found, dtype=np.float64).reshape(-1, 4)


def _grown(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the box grown by a tenth about its centre."""
    margin = box[2:] * _GROWTH / 2
    return np.concatenate([box[:2] - margin, box[2:] + 2 * margin])


def _apart(points: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return the mean distance between two predictions of landmarks, in distances between the eyes."""
    eyes = float(np.linalg.norm(points[36:42].mean(axis=0) - points[42:48].mean(axis=0)))
    return float(np.linalg.norm(points - second, axis=1).mean()) / max(eyes, 1.0)


def _tilt(landmarks: NDArray[np.float32]) -> float:
    """Return the angle of the line through the eyes, degrees; positive if the right end is lower."""
    across, down = landmarks[42:48].mean(axis=0) - landmarks[36:42].mean(axis=0)
    return math.degrees(math.atan2(down, across))


def _upright(
    gray: NDArray[np.uint8], box: NDArray[np.float64], tilt: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.float64]]:
    """Cut a face out, turned upright, with a margin of a box on each side.

    Args:
        gray: uint8 [h, w].
        box: The face's box, float64 [4].
        tilt: Angle of the line through the eyes, degrees.

    Returns:
        (picture, box, matrix): uint8 [3 * height, 3 * width], the box in it, and the matrix float64 [2, 3] from its
        points to those of `gray`.
    """
    width, height = (max(1, round(side)) for side in box[2:])
    turn = cv2.getRotationMatrix2D((box[0] + box[2] / 2, box[1] + box[3] / 2), tilt, 1.0)
    turn[:, 2] -= box[:2] - (width, height)
    picture = cv2.warpAffine(gray, turn, (3 * width, 3 * height), flags=cv2.INTER_LINEAR)
    inside = np.array([width, height, width, height], dtype=np.float64)
    return np.asarray(picture, dtype=np.uint8), inside, np.asarray(cv2.invertAffineTransform(turn), dtype=np.float64)


def _gray(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


def _scale(gray: NDArray[np.uint8]) -> float:
    return min(1.0, _SIDE / float(min(gray.shape)))


def _zooms(gray: NDArray[np.uint8]) -> tuple[float, float, float]:
    """Return the enlargements at which a picture is searched, one after the other; the last is its own size if near."""
    own = min(gray.shape) / _SIDE
    return *_ENLARGEMENTS[:2], own if 1.1 < own < 1.9 else _ENLARGEMENTS[2]


def _reduced(gray: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    height, width = (max(1, round(side * scale)) for side in gray.shape)
    if (height, width) == gray.shape:
        return gray
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(gray, (width, height), interpolation=method), dtype=np.uint8)
