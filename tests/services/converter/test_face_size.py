"""The conversion with a model of 128 pixel faces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facefoundry.faces.crop import cut
from facefoundry.media.read import open_source
from facefoundry.model.architecture import Architecture
from facefoundry.model.network import build, load
from facefoundry.work.workspace import Workspace
from services.converter import pipeline
from services.converter.composite import composite
from services.converter.functions import ConvertArgs
from services.converter.mask import MaskOptions
from tests.services.child import do


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of 128 pixel faces with random weights."""
    network = build(Architecture((4, 4, 8, 8, 8), 8, 8, (8, 4, 4, 4), face_size=128), seed=3)
    tensors = network.tensors()
    for side in ("a", "b"):
        tensors[f"decoder_{side}/output/kernel"] *= 40  # fresh weights give grey faces
    network.assign(tensors)
    path = tmp_path_factory.mktemp("large") / "weights.safetensors"
    path.write_bytes(network.to_bytes())
    return path


def test_faces_are_cut_and_pasted_at_the_size_of_the_model(
    convert_arguments: Callable[..., tuple[ConvertArgs, Workspace]], clip: Any, large: Path
) -> None:
    arguments, workspace = convert_arguments(weights=str(large))
    done = do(pipeline.convert(arguments, workspace), workspace)
    with open_source(done.parts["raw.mp4"]) as source:
        converted = list(source)
    network, options = load(large), MaskOptions("facehullandrect", 0, 2)
    for number in (0, 7):
        frame, matrix = clip.frames[number], clip.alignments.matrices[number]
        crop = cut(frame, matrix, 128, 0)[None].astype(np.float32) / 255
        face = np.asarray(network.reconstruct(crop, "b"))[0]
        expected = composite(frame, face, matrix, clip.alignments.landmarks[number], options, "opencv-3.4.1")
        assert expected is not None
        difference = np.abs(converted[number].astype(int) - expected.apply(frame))
        assert difference.max() <= 2
        assert (converted[number] != frame).any()
