"""A real video and a fake differ in pixels alone: boxes, parameter sets, x264's message and times are equal."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from facefoundry import codec, recipes
from facefoundry.media.level import Level
from facefoundry.media.write import VideoWriter
from facefoundry.work.workspace import Workspace
from services.converter import pipeline
from services.converter.functions import ConvertArgs, TranscodeArgs
from tests.facefoundry.media.comparison import differences, facts
from tests.services.child import do, workspace
from tests.services.converter.conftest import make_clip

Arguments = Callable[..., tuple[ConvertArgs, Workspace]]

LEVELS = tuple(codec.from_values(Level, recipes.options(level)) for level in recipes.load().compression.levels)


class Target(NamedTuple):
    """What a target is like."""

    seed: int
    rate: Fraction
    size: tuple[int, int]


RATES = (Fraction(25), Fraction(30), Fraction(30000, 1001), Fraction(24), Fraction(25, 2))
SIZES = ((161, 121), (320, 240), (176, 288), (256, 200))
TARGETS = [Target(seed, *kind) for seed, kind in enumerate(itertools.product(RATES, SIZES))]
FEW = (TARGETS[0], TARGETS[5], TARGETS[8])


def compare(target: Target, convert_arguments: Arguments, folder: Path) -> None:
    clip = make_clip(folder / "target.mp4", *target)
    (folder / "alignments").write_bytes(clip.alignments.to_bytes())
    changes = {"clip_files": (str(clip.path),), "alignments": str(folder / "alignments"), "levels": LEVELS}
    arguments, made = convert_arguments(**changes)
    fake = do(pipeline.convert(arguments, made), made).parts
    made = workspace(folder / "real")
    transcode = TranscodeArgs(clip_files=(str(clip.path),), frame_rate=None, levels=LEVELS)
    real = do(pipeline.transcode(transcode, made), made).parts
    for level in LEVELS:
        assert list(differences(facts(real[f"{level.name}.mp4"]), facts(fake[f"{level.name}.mp4"]))) == []
        assert fake[f"{level.name}.mp4"].read_bytes() != real[f"{level.name}.mp4"].read_bytes()


@pytest.mark.parametrize("target", FEW, ids=lambda target: f"{target.seed}")
def test_a_real_video_and_a_fake_differ_in_pixels_alone(
    target: Target, convert_arguments: Arguments, tmp_path: Path
) -> None:
    compare(target, convert_arguments, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: f"{target.seed}")
def test_twenty_real_videos_and_fakes_differ_in_pixels_alone(
    target: Target, convert_arguments: Arguments, tmp_path: Path
) -> None:
    compare(target, convert_arguments, tmp_path)


@pytest.mark.parametrize("change", [{"crf": 24}, {"coder": "cavlc"}, {"keyframe_interval": 5}, {"tagged": True}])
def test_the_comparison_sees_every_difference_of_settings(change: dict[str, Any], tmp_path: Path) -> None:
    frames = np.random.default_rng(4).integers(0, 256, (4, 48, 64, 3), np.uint8)
    found = []
    for name, level in (("as-is", LEVELS[1]), ("changed", replace(LEVELS[1], **change))):
        with VideoWriter(tmp_path / f"{name}.mp4", level, (25, 1), 64, 48) as writer:
            for frame in frames:
                writer.write(frame)
        found.append(facts(tmp_path / f"{name}.mp4"))
    assert list(differences(*found))
