"""The two still portraits of the demo, with their landmarks; the modules `motion` and `warp` animate them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import cv2
import dlib
import numpy as np
from matplotlib import cbook
from numpy.typing import NDArray
from skimage import data

EYE_DISTANCE = 80.0
"""Distance between the centres of the eyes on every canvas, pixels."""

_PREDICTOR = "shape_predictor_68_face_landmarks.dat"


@dataclass(frozen=True)
class Portrait:
    """One subject, scaled so that all subjects have the same size.

    Attributes:
        name: Id of the sequence: the name of the clip that is made of the portrait.
        canvas: The scaled picture, uint8 BGR [h, w, 3].
        landmarks: float64 [68, 2], (x, y) in canvas pixels.
        crown: y of the highest point of the hair or hat, canvas pixels.
    """

    name: str
    canvas: NDArray[np.uint8]
    landmarks: NDArray[np.float64]
    crown: float


def astronaut() -> Portrait:
    """Return the portrait of Eileen Collins from scikit-image."""
    return _portrait("astronaut", np.ascontiguousarray(data.astronaut()[..., ::-1], dtype=np.uint8), crown=15)


def hopper() -> Portrait:
    """Return the portrait of Grace Hopper from matplotlib."""
    picture = cv2.imread(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(
            "Expected the sample picture grace_hopper.jpg of matplotlib. It cannot be read. Install matplotlib again."
        )
    return _portrait("hopper", picture, crown=23)


def predictor_path() -> Path:
    """Return the path of dlib's weights for the 68 landmarks, in the package `face_recognition_models`.

    Raises:
        FileNotFoundError: The package is not installed, or does not contain the file.
    """
    try:
        files = distribution("face_recognition_models").files or []
    except PackageNotFoundError:
        files = []
    for file in files:
        if file.name == _PREDICTOR:
            return Path(str(file.locate()))
    raise FileNotFoundError(
        f"Expected {_PREDICTOR} in the package face_recognition_models. The file was not found. Install the package."
    )


@lru_cache(maxsize=1)
def _engine() -> tuple[dlib.fhog_object_detector, dlib.shape_predictor]:
    return dlib.get_frontal_face_detector(), dlib.shape_predictor(str(predictor_path()))


def find_landmarks(frame: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    """Find the landmarks of every face in a frame, uint8 [h, w, 3] BGR.

    Returns:
        float64 [68, 2] for each face, (x, y) in frame pixels; the face with the highest score is first.
    """
    detector, predictor = _engine()
    rgb = np.ascontiguousarray(frame[..., ::-1])
    return [
        np.array([(point.x, point.y) for point in predictor(rgb, box).parts()], np.float64) for box in detector(rgb, 0)
    ]


def _portrait(name: str, picture: NDArray[np.uint8], crown: float) -> Portrait:
    """Make a portrait: find the landmarks in a picture, uint8 [h, w, 3] BGR, and scale it to `EYE_DISTANCE`.

    The landmarks are found in the picture at twice its size, where they are more precise.
    """
    rough = cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    landmarks = find_landmarks(rough)[0] / 2
    scale = EYE_DISTANCE / float(np.linalg.norm(landmarks[36:42].mean(0) - landmarks[42:48].mean(0)))
    canvas = cv2.resize(
        picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_LANCZOS4 if scale > 1 else cv2.INTER_AREA
    )
    return Portrait(name, canvas, (landmarks + 0.5) * scale - 0.5, crown * scale)
