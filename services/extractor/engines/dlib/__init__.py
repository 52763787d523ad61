"""The engine `dlib`: a face detector on histograms of oriented gradients (HOG), and a predictor of 68 landmarks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from services.extractor.engines.base import IBUG_68, Engine, EngineDeclaration, WeightFile, WeightLicence

__all__ = ["EMBEDDER", "ENGINE", "PREDICTOR", "WHEEL"]

WHEEL: Final = "face_recognition_models"
"""Name of the Python distribution that contains the weights."""

PREDICTOR: Final = WeightFile("shape_predictor_68_face_landmarks.dat", WHEEL)
"""Weights of the landmark predictor."""

EMBEDDER: Final = WeightFile("dlib_face_recognition_resnet_model_v1.dat", WHEEL)
"""Weights of the face embedding. Only `identity.FaceEmbedder` uses them, not the engine."""


def _create(weights: Mapping[str, Path]) -> Engine:
    from services.extractor.engines.dlib.hog import DlibEngine

    return DlibEngine(weights[PREDICTOR.name])


ENGINE: Final = EngineDeclaration(
    name="dlib",
    create=_create,
    packages=("dlib",),
    weights=(PREDICTOR,),
    licence=WeightLicence(
        terms="CC0 1.0. Trained on the iBUG 300-W data set, whose licence excludes commercial use.",
        source="the package face_recognition_models 0.3.0; https://github.com/davisking/dlib-models",
    ),
    landmarks=IBUG_68,
    remedy=(
        "Install dlib (group `extractor`), then: pip install --require-hashes --no-deps --no-build-isolation "
        "-r locks/dlib-models.txt (with setuptools below 81)."
    ),
    fork_safe=True,
)
