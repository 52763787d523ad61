"""Finds the landmarks of faces, which are turned upright first if they are tilted."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from services.extractor.boxes import Box, iou
from services.extractor.engines.dlib import predictor
from services.extractor.engines.dlib.near import SAME_FACE, Dlib
from services.extractor.engines.dlib.tilt import apart, tilt, upright
from services.extractor.engines.levels import stretched

__all__ = ["SURE", "Frame", "Points", "View", "Viewer", "box_of", "grown"]

Frame = NDArray[np.uint8]
Points = NDArray[np.float32]

SURE: Final = 0.4
"""A face with this score is one, in a picture in which it is upright."""

# A helmet or a camera may score 0.25, and so may a tilted, blurred or partly hidden face. A score below SURE is a face
# if its landmarks are steady (0.02 to 0.035 on faces, 0.058 and more on helmets and cameras), or if it scores SURE
# turned upright.
_STEADY: Final = 0.042
# The predictor was trained on upright faces: faces tilted by more, degrees, are turned upright before it.
_MAX_TILT: Final = 20.0
# Degrees by which the tilt of a face changes from one frame to the next at most.
_MAX_CHANGE: Final = 12.0
# Width of a face, pixels, at which the tilt is searched for.
_WIDTH: Final = 110.0
# What is searched around a face that is turned upright, in widths and heights of its box on each side.
_MARGIN: Final = 0.5
_MORE_TILTS: Final = (0.0, -25.0, 25.0, -45.0, 45.0)
# A face with this score is upright, and not searched for at other tilts.
_UPRIGHT: Final = 0.5
# Part of its width by which a box grows for the second prediction of the points. Boxes come in steps of a fifth.
_GROWTH: Final = 0.1
# Side of the detector's boxes, in root mean square distances of the inner landmarks from their mean, which is near the
# middle of the box: the median over the clips of 8 people.
_SIDE: Final = 3.17
_INNER: Final = slice(17, 68)
# The predictor compares differences of grey levels with fixed numbers. A face whose levels have a smaller standard
# deviation is stretched before it: ordinary faces have 18 and more.
_DARK: Final = 12.0
# Pixels across a face that are looked at for it.
_SAMPLES: Final = 32


class View(NamedTuple):
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


class Viewer:
    """Finds landmarks with dlib's predictor.

    Args:
        dlib: The module.
        detector: dlib's detector of frontal faces.
        landmark_weights: Weights of the 68-point predictor.

    Raises:
        DataLoss: the weights are damaged (BAD_WEIGHTS).
    """

    def __init__(self, dlib: Dlib, detector: Dlib, landmark_weights: Path) -> None:
        self._dlib, self._detector = dlib, detector
        self._predictor = predictor.load(landmark_weights)

    def look(self, gray: Frame, box: Box, *, is_upright: bool) -> View:
        """Look at a face of which nothing is known but its box.

        Args:
            gray: The frame, uint8 [h, w].
            box: float64 [4].
            is_upright: Whether the face is known to be upright.
        """
        points = self.points(gray, box)
        angle = tilt(points)
        is_tilted = abs(angle) > _MAX_TILT
        if not is_tilted and (is_upright or self._is_steady(gray, box, points)):
            return View(points, gray, box)
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
            return View(points, gray, box)
        turned, inside, back = upright(gray, box, tilts[best])
        # The box that was found, from its place in the smaller picture with a smaller margin.
        offset, size = found[best][1][:2] / shrink, found[best][1][2:] / shrink
        return self._turned(turned, np.concatenate([inside[:2] + offset - _MARGIN * box[2:], size]), back)

    def look_again(self, gray: Frame, box: Box, before: float) -> View | None:
        """Look at a face whose tilt a frame before, in degrees, is known; None if it is not tilted as it was."""
        if abs(before) > _MAX_TILT:
            view = self._turned(*upright(gray, box, before, _MARGIN))
        else:
            view = View(self.points(gray, box), gray, box)
        now = tilt(view.points)
        if abs(now - before) > _MAX_CHANGE:
            return None
        if view.back is None and abs(now) > _MAX_TILT:
            return self._turned(*upright(gray, box, now, _MARGIN))
        return view

    def second_points(self, view: View) -> Points:
        """Find the landmarks of a view again, in a box that is a tenth larger."""
        return _turned_back(self.points(view.picture, grown(view.box)), view.back)

    def is_face(self, picture: Frame, box: Box) -> bool:
        """Return whether a box that scores low holds a face: its landmarks are steady, or it scores well upright."""
        points = self.points(picture, box)
        if self._is_steady(picture, box, points):
            return True
        angle = tilt(points)
        return abs(angle) > _MAX_TILT and self._best(picture, box, angle)[0] >= SURE

    def points(self, picture: Frame, box: Box) -> Points:
        """Predict the landmarks, float32 [68, 2], of the upright face in a box of a picture, uint8 [h, w]."""
        x, y, width, height = (float(value) for value in box)
        face = self._dlib.rectangle(round(x), round(y), round(x + width) - 1, round(y + height) - 1)
        shape = self._predictor(_lit(picture, face), face)
        return np.array([(point.x, point.y) for point in shape.parts()], dtype=np.float32)

    def _turned(self, picture: Frame, box: Box, back: NDArray[np.float64]) -> View:
        return View(_turned_back(self.points(picture, box), back), picture, box, back)

    def _is_steady(self, picture: Frame, box: Box, points: Points) -> bool:
        """Return whether the landmarks in a box hardly differ from those in a larger one."""
        return apart(points, self.points(picture, grown(box))) <= _STEADY

    def _best(self, picture: Frame, box: Box, angle: float) -> tuple[float, Box]:
        """Turn the face in a box upright, and find it again.

        Returns:
            Its score and its box in what `upright` cuts out with the margin `_MARGIN`; minus infinity and the place of
            the given box if no face is there.
        """
        turned, inside, _ = upright(picture, box, angle, _MARGIN)
        faces, scores, _ = self._detector.run(turned, 0, -SURE)
        boxes = [np.array([face.left(), face.top(), face.width(), face.height()], np.float64) for face in faces]
        near = [pair for pair in zip(scores, boxes, strict=True) if iou(pair[1], inside) > SAME_FACE]
        return max(near, key=lambda pair: float(pair[0]), default=(-math.inf, inside))


def box_of(points: Points) -> Box:
    """Return the box, in whole pixels, that fits landmarks: as large as the detector's are, but at their very place."""
    (x, y), (across, down) = (values.ravel().tolist() for values in cv2.meanStdDev(points[_INNER].reshape(-1, 1, 2)))
    side = round(_SIDE * math.hypot(across, down))
    return np.array([round(x - side / 2), round(y - side / 2), side, side], np.float64)


def grown(box: Box) -> Box:
    """Return the box grown by a tenth about its centre."""
    margin = box[2:] * _GROWTH / 2
    return np.concatenate([box[:2] - margin, box[2:] + 2 * margin])


def _turned_back(points: Points, back: NDArray[np.float64] | None) -> Points:
    """Map points of a picture to whole pixels of the frame."""
    return points if back is None else np.rint(cv2.transform(points[None], back)[0]).astype(np.float32)


def _lit(picture: Frame, face: Dlib) -> Frame:
    """Return the picture, with its levels stretched if the face, a dlib rectangle, is dark or pale."""
    left, top = max(face.left(), 0), max(face.top(), 0)
    step = max(1, face.width() // _SAMPLES)
    seen = picture[top : max(face.bottom(), 0) : step, left : max(face.right(), 0) : step]
    if not seen.size or cv2.meanStdDev(np.ascontiguousarray(seen))[1].item() >= _DARK:
        return picture
    return stretched(picture, seen)
