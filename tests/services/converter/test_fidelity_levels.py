"""Rate, length and stream fields of what is written, for targets of irregular times and turned pictures too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from facefoundry.media.read import open_source
from facefoundry.work.workspace import Workspace
from services.converter import pipeline
from services.converter.functions import ConvertArgs, TranscodeArgs
from tests.clips import stream_fields
from tests.services.child import do, workspace
from tests.services.converter.conftest import LEVELS

Arguments = Callable[..., tuple[ConvertArgs, Workspace]]
Frames = list[NDArray[np.uint8]]

# Milliseconds from a frame to the next, as a phone records them in changing light.
STEPS = (33, 34, 33, 67, 33, 33, 40, 41, 100, 33)


def decoded(path: Path) -> Frames:
    with open_source(path) as source:
        return list(source)


def write_lossless(path: Path, frames: Frames, *, steps: tuple[int, ...] = (40,), rotation: int = 0) -> None:
    """A video that decodes to exactly these frames before they are turned.

    Args:
        path: File to write.
        frames: uint8 [h, w, 3] BGR.
        steps: Milliseconds from a frame to the next, over and over.
        rotation: Degrees, counter-clockwise, that the container asks a player to turn by.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=25, options={"crf": "0", "preset": "ultrafast"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "bgr24"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        time = 0
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="bgr24")
            picture.pts, picture.time_base = time, Fraction(1, 1000)
            time += steps[number % len(steps)]
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def times(path: Path) -> list[Fraction]:
    """When each frame is shown, seconds."""
    with av.open(str(path)) as container:
        frames: Any = container.decode(video=0)
        return [frame.pts * frame.time_base for frame in frames]


def transcoded(source: Path, folder: Path) -> dict[str, Path]:
    made = workspace(folder)
    arguments = TranscodeArgs(clip_files=(str(source),), frame_rate=None, levels=LEVELS)
    return do(pipeline.transcode(arguments, made), made).parts


@pytest.fixture(scope="module")
def irregular(clip: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("irregular") / "target.mp4"
    write_lossless(path, clip.frames, steps=STEPS)
    return path


@pytest.fixture(scope="module")
def turned(clip: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("turned") / "target.mp4"
    write_lossless(path, [np.rot90(frame, -1) for frame in clip.frames], rotation=90)
    return path


@pytest.mark.parametrize("kind", ["irregular", "turned"])
def test_fake_and_real_have_the_targets_frames_and_length_and_equal_fields(
    kind: str, request: pytest.FixtureRequest, convert_arguments: Arguments, clip: Any, tmp_path: Path
) -> None:
    target: Path = request.getfixturevalue(kind)
    with open_source(target) as source:
        rate = Fraction(*source.info.frame_rate)
        size = (source.info.width, source.info.height)
    assert size == (161, 121)
    (tmp_path / "alignments").write_bytes(
        replace(clip.alignments, frame_rate=(rate.numerator, rate.denominator)).to_bytes()
    )
    arguments, made = convert_arguments(clip_files=(str(target),), alignments=str(tmp_path / "alignments"))
    fake = do(pipeline.convert(arguments, made), made).parts
    real = transcoded(target, tmp_path / "real")
    for expected, frame in zip(clip.frames, decoded(real["raw.mp4"]), strict=True):
        np.testing.assert_array_equal(frame, expected)
    for name in ("raw.mp4", "c23.mp4", "c40.mp4"):
        assert stream_fields(fake[name]) == stream_fields(real[name])
    with av.open(str(target)) as container:
        stream: Any = container.streams.video[0]
        length = stream.duration * stream.time_base
    for path in (*real.values(), fake["masks.mp4"], fake["raw.mp4"]):
        shown = times(path)
        assert len(shown) == len(clip.frames)
        assert shown[0] == 0
        assert all(abs(after - before - 1 / rate) < Fraction(1, 5000) for before, after in pairwise(shown))
        assert abs(len(shown) / rate - length) < Fraction(1, 500), "it lasts as long as the target"
        assert stream_fields(path)["size"][:2] == size
        assert stream_fields(path)["colour"][-1] == 0, "frames are turned, and no player turns them again"


def test_times_of_the_irregular_target_are_what_the_test_says(irregular: Path, clip: Any) -> None:
    shown = times(irregular)
    assert [round(1000 * (after - before)) for before, after in pairwise(shown)] == [*STEPS, *STEPS[:-1]]
