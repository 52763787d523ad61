"""Searches a picture for faces near a place, with dlib's detector.

dlib's detector scores windows of one size on a pyramid: the picture at ever smaller sizes, its levels. Here it runs on
three levels only, and on those pixels of them that are near the place.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry.errors import Internal
from services.extractor.boxes import Box, iou
from services.extractor.engines.dlib import ENGINE

__all__ = ["MIN_BOX", "SAME_FACE", "NearDetector", "single_level"]

Picture = NDArray[np.uint8]
Dlib: TypeAlias = Any  # dlib has no types: the module, or an object of it

MIN_BOX: Final = 73
"""The detector's smallest box, pixels."""
SAME_FACE: Final = 0.3
"""Boxes with a larger intersection over union belong to the same face."""

# The factor between neighbouring levels of the detector's pyramid.
_STEP: Final = 6 / 5
# dlib adds this to a point of a level before it scales the point to the next larger level.
_OFFSET: Final = 0.3
# Side of the cells that the detector's windows are aligned to, pixels.
_CELL: Final = 8
# Cells that are searched beyond the box, on each side of each level: two for the motion of the box, and two for windows
# that reach beyond the box.
_REACH: Final = 4
# The smallest side of a level, except the first.
_MIN_SIDE: Final = 64
# Bytes of a stored detector that set the largest number of levels, 1000 or 1, and their smallest side, 64.
_ALL_LEVELS: Final = b"\x02\xe8\x03\x01\x40\x01\x40"
_ONE_LEVEL: Final = b"\x01\x01\x01\x40\x01\x40"


class _Area(NamedTuple):
    """Rows and columns of a level."""

    rows: slice
    columns: slice

    @property
    def is_empty(self) -> bool:
        return bool(self.rows.stop <= self.rows.start or self.columns.stop <= self.columns.start)


class NearDetector:
    """Runs dlib's detector near a box, on the level at which its face fits the window and on the two neighbouring ones.

    The searched areas are aligned to the cells of their levels, so the same windows are scored as in the whole picture.

    Args:
        dlib: The module.
        detector: dlib's detector of frontal faces.

    Raises:
        Internal: this version of dlib stores detectors in another format (DLIB_VERSION).
    """

    def __init__(self, dlib: Dlib, detector: Dlib) -> None:
        self._detector = single_level(dlib, detector)

    def search(self, picture: Picture, box: Box, sure: float) -> tuple[NDArray[np.float64], list[float]]:
        """Search the place of a box, on the neighbouring levels only if no face there is sure.

        Args:
            picture: uint8 [h, w].
            box: float64 [4], pixels of the picture.
            sure: Score from which on a face is sure.

        Returns:
            The best window of each face, float64 [k, 4], best first, and their scores.
        """
        own = max(0, round(math.log(box[2] / MIN_BOX) / math.log(_STEP)))
        shapes = [picture.shape]
        while len(shapes) < own + 2:
            shapes.append(tuple(side * 5 // 6 for side in shapes[-1]))
        searched = {
            level: area
            for level in range(max(own - 1, 0), own + 2)
            if level == 0 or min(shapes[level]) >= _MIN_SIDE
            if not (area := _area(shapes[level], level, box)).is_empty
        }
        at_own = {own: searched.pop(own)} if own in searched else {}
        scored = self._scored(picture, shapes, at_own)
        if not any(score >= sure for score, _ in scored):
            scored += self._scored(picture, shapes, searched)
        kept: list[tuple[float, Box]] = []
        for score, window in sorted(scored, key=lambda each: -each[0]):
            if all(iou(window, better) <= SAME_FACE for _, better in kept):
                kept.append((score, window))
        return np.array([window for _, window in kept], np.float64).reshape(-1, 4), [score for score, _ in kept]

    def _scored(
        self, picture: Picture, shapes: Sequence[Sequence[int]], searched: dict[int, _Area]
    ) -> list[tuple[float, Box]]:
        """Return score and window of each face in areas of levels."""
        return [
            pair
            for level, pixels in _levels(picture, shapes, searched)
            for pair in self._windows(pixels, level, searched[level])
        ]

    def _windows(self, pixels: Picture, level: int, area: _Area) -> list[tuple[float, Box]]:
        """Return score and window of each face in an area of a level; windows are in pixels of the first level."""
        faces, scores, _ = self._detector.run(pixels, 0, 0.0)
        corner = np.array([area.columns.start, area.rows.start] * 2)
        windows = []
        for face, score in zip(faces, scores, strict=True):
            edges = np.array([face.left(), face.top(), face.right(), face.bottom()]) + corner
            for _ in range(level):
                edges = (edges + _OFFSET) * _STEP
            edges = np.rint(edges)
            windows.append((float(score), np.concatenate([edges[:2], edges[2:] - edges[:2] + 1])))
        return windows


def single_level(dlib: Dlib, detector: Dlib) -> Dlib:
    """Make a copy of a detector that searches the given picture only, without the smaller levels of a pyramid.

    Raises:
        Internal: this version of dlib stores detectors in another format (DLIB_VERSION).
    """
    with os.fdopen(os.memfd_create("detector"), "wb") as file:  # in memory: the disk may be full
        path = Path(f"/proc/self/fd/{file.fileno()}")
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


def _area(shape: Sequence[int], level: int, box: Box) -> _Area:
    """Return the area of a level, whose shape is given, that is searched near a box of the first level."""
    x, y, width, height = box.tolist()
    bands = []
    for center, side in ((y + height / 2, shape[0]), (x + width / 2, shape[1])):
        for _ in range(level):
            center = center / _STEP - _OFFSET
        first = max(math.floor((center - MIN_BOX / 2) / _CELL) - _REACH, 0) * _CELL
        last = max(math.ceil((center + MIN_BOX / 2) / _CELL) + _REACH, 0) * _CELL
        bands.append(slice(min(first, side), min(last, side)))
    return _Area(*bands)


def _levels(picture: Picture, shapes: Sequence[Sequence[int]], searched: dict[int, _Area]) -> list[tuple[int, Picture]]:
    """Compute areas of the levels of a pyramid, from only those pixels of larger levels that they need.

    As in dlib, the corner pixels of all levels are the same points.

    Args:
        picture: uint8 [h, w], the first and largest level.
        shapes: Shapes of all levels.
        searched: The areas by level; neighbouring levels need much of the same pixels.

    Returns:
        (level, pixels) of each area.
    """
    if not searched:
        return []
    # From the smallest level up: the area that is computed of each, for itself and for the next smaller one.
    last = max(searched)
    computed = {last: searched[last]}
    for level in range(last, 0, -1):
        below = _needed(computed[level], _steps(shapes, level))
        computed[level - 1] = _union(below, searched[level - 1]) if level - 1 in searched else below
    pixels = np.ascontiguousarray(picture[computed[0]])
    made = []
    for level in range(last + 1):
        if level:
            pixels = _shrunk(pixels, computed[level - 1], computed[level], _steps(shapes, level))
        if level in searched:
            rows, columns = (
                slice(part.start - whole.start, part.stop - whole.start)
                for part, whole in zip(searched[level], computed[level], strict=True)
            )
            made.append((level, np.ascontiguousarray(pixels[rows, columns])))
    return made


def _steps(shapes: Sequence[Sequence[int]], level: int) -> tuple[float, float]:
    """Return how many rows and columns of the next larger level a row and a column of this level take."""
    down, across = (
        (larger - 1) / max(side - 1, 1) for larger, side in zip(shapes[level - 1], shapes[level], strict=True)
    )
    return down, across


def _needed(area: _Area, steps: tuple[float, float]) -> _Area:
    """Return the area of the next larger level from which an area is computed."""
    return _Area(
        *(
            slice(math.floor(band.start * step), math.ceil((band.stop - 1) * step) + 1)
            for band, step in zip(area, steps, strict=True)
        )
    )


def _union(first: _Area, second: _Area) -> _Area:
    return _Area(*(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(first, second, strict=True)))


def _shrunk(pixels: Picture, source: _Area, target: _Area, steps: tuple[float, float]) -> Picture:
    """Compute an area of a level from the pixels of an area of the next larger level."""
    (down, across) = steps
    top, left = (t.start * step - s.start for t, step, s in zip(target, steps, source, strict=True))
    size = (target.columns.stop - target.columns.start, target.rows.stop - target.rows.start)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    matrix = np.array([[across, 0, left], [0, down, top]])
    made = cv2.warpAffine(pixels, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(made, dtype=np.uint8)
