"""A synthetic clip, its alignments and a tiny random model."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facefoundry.faces.alignments import NO_FACE, Alignments
from facefoundry.faces.crop import face_matrix
from facefoundry.faces.mean_face import MEAN_FACE
from facefoundry.media.level import Level
from facefoundry.media.read import DECODER, frame_digest, open_source
from facefoundry.work.workspace import Workspace
from services.converter.functions import ConversionOptions, ConvertArgs
from tests.services.child import workspace

FRAMES = 20
WIDTH, HEIGHT = 161, 121
FACELESS = (3, 12, 13)
CONVERSION = ConversionOptions(
    "facehullandrect", erosion=0, blur=2, seamless=True, batch_size=4, chunk_frames=8, clone="opencv-3.4.1"
)
LEVELS = (
    Level("raw", "libx264rgb", 0, "gbrp", "ultrafast", "cavlc"),
    Level("c23", "libx264", 23, "yuv444p", "ultrafast"),
    Level("c40", "libx264", 40, "yuv444p", "ultrafast"),
)


@dataclass(frozen=True)
class Clip:
    """A target sequence with its extraction's alignments.

    Attributes:
        path: Video file.
        frames: Decoded, uint8 [h, w, 3] BGR.
        alignments: Of these frames; FACELESS have no face, one face leaves the frame.
        rate: Frames per second.
    """

    path: Path
    frames: list[NDArray[np.uint8]]
    alignments: Alignments
    rate: tuple[int, int]


def landmarks_at(center: tuple[float, float], size: float, angle: float) -> NDArray[np.float32]:
    """68 landmarks of the mean face's shape; the chin line is made up."""
    around = np.linspace(0.05, 0.95, 17)[:, None]
    chin = np.column_stack([around, 0.35 + 0.85 * np.sin(np.pi * around)])
    points = (np.vstack([chin, MEAN_FACE]) - 0.5) * size
    turn = np.deg2rad(angle)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.trunc(points @ rotation.T + np.array(center)).astype(np.float32)


def make_clip(path: Path, seed: int, rate: Fraction = Fraction(25), size: tuple[int, int] = (WIDTH, HEIGHT)) -> Clip:
    rng = np.random.default_rng(seed)
    width, height = size
    texture = cv2.resize(rng.integers(0, 256, (16, 22, 3), dtype=np.uint8), size)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "20", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p"
        for number in range(FRAMES):
            picture = np.ascontiguousarray(np.roll(texture, number, axis=1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())
    with open_source(path) as source:
        frames = list(source)
    landmarks = np.stack([landmarks_at((70 + n, 60 + n % 5), 50 + n % 4, n - 8) for n in range(FRAMES)])
    landmarks[FRAMES - 1] = landmarks_at((width + 200, 60), 50, 0)
    reasons = np.zeros(FRAMES, np.uint8)
    reasons[list(FACELESS)] = NO_FACE
    landmarks[reasons == NO_FACE] = 0
    matrices = np.stack([np.zeros((2, 3)) if reasons[n] else face_matrix(landmarks[n]) for n in range(FRAMES)])
    alignments = Alignments(
        boxes=np.zeros((FRAMES, 4), np.int32),
        landmarks=landmarks,
        matrices=matrices,
        reasons=reasons,
        frame_digests=np.array([frame_digest(frame) for frame in frames], np.uint64),
        crop_digests=np.zeros(FRAMES, np.uint64),
        frame_rate=(rate.numerator, rate.denominator),
        width=width,
        height=height,
        decoder=DECODER,
        engine="test",
    )
    return Clip(path, frames, alignments, (rate.numerator, rate.denominator))


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """The target."""
    return make_clip(tmp_path_factory.mktemp("clip") / "target.mp4", seed=1, rate=Fraction(30000, 1001))


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with random weights."""
    from facefoundry.model.network import Architecture, build

    path = tmp_path_factory.mktemp("model") / "weights.safetensors"
    network = build(Architecture((4, 4, 8, 8), 8, 8, (8, 4, 4)), seed=3)
    tensors = network.tensors()
    for side in ("a", "b"):
        tensors[f"decoder_{side}/output/kernel"] *= 40  # fresh weights give grey faces
    network.assign(tensors)
    path.write_bytes(network.to_bytes())
    return path


@pytest.fixture
def convert_arguments(clip: Clip, weights: Path, tmp_path: Path) -> Callable[..., tuple[ConvertArgs, Workspace]]:
    """Makes the arguments of `pipeline.convert` for the clip, with changes, and finished chunks by name."""
    alignments = tmp_path / "alignments.safetensors"
    alignments.write_bytes(clip.alignments.to_bytes())
    numbers = itertools.count()

    def make(chunk_files: dict[str, Path] | None = None, **changes: Any) -> tuple[ConvertArgs, Workspace]:
        arguments = ConvertArgs(
            clip_files=(str(clip.path),),
            frame_rate=None,
            levels=LEVELS,
            alignments=str(alignments),
            weights=str(weights),
            decoder="b",
            control=False,
            options=CONVERSION,
        )
        return replace(arguments, **changes), workspace(tmp_path / f"work-{next(numbers)}", chunk_files)

    return make


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scratch folder of the sandboxes of a module's tests."""
    return tmp_path_factory.mktemp("scratch")
