"""The engine `face_alignment`: the detector S3FD and the 2D face alignment network (FAN) for landmarks.

FF++'s own fakes were made with its landmarks. The networks come with the package `face_alignment`. The operator of the
service provides the weights; nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from services.extractor.engines.base import IBUG_68, Engine, EngineDeclaration, WeightFile, WeightLicence

__all__ = ["DETECTOR_FILE", "ENGINE", "LANDMARK_FILE"]

DETECTOR_FILE: Final = "s3fd-619a316812.pth"
"""File name of S3FD's weights, as they were published."""

LANDMARK_FILE: Final = "2DFAN4-11f355bf06.pth.tar"
"""File name of the weights of the alignment network with four stacks, as they were published."""


def _create(weights: Mapping[str, Path]) -> Engine:
    from services.extractor.engines.face_alignment.networks import FaceAlignmentEngine

    return FaceAlignmentEngine(weights[DETECTOR_FILE], weights[LANDMARK_FILE])


ENGINE: Final = EngineDeclaration(
    name="face_alignment",
    create=_create,
    packages=("face_alignment", "torch", "dlib"),
    weights=(WeightFile(DETECTOR_FILE), WeightFile(LANDMARK_FILE)),
    licence=WeightLicence(
        terms="The weights were published without a licence of their own; the package's licence is BSD. Check that you "
        "may use them.",
        source="https://github.com/1adrianb/face-alignment",
    ),
    landmarks=IBUG_68,
    remedy=(
        "Install its packages with pip install --no-deps -r locks/face-alignment.txt, and put "
        f"{DETECTOR_FILE} and {LANDMARK_FILE} (from adrianbulat.com/downloads/python-fan) into the folder "
        "FACEFOUNDRY_EXTRACTOR_WEIGHTS_DIR or the bucket prefix FACEFOUNDRY_EXTRACTOR_WEIGHTS_PREFIX."
    ),
)
