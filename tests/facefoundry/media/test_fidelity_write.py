"""What the compress step of FF++ gets from ffmpeg's defaults, held by facts about x264 and BT.601."""

from __future__ import annotations

import re
from pathlib import Path

import av
import numpy as np
import pytest

from facefoundry.media.level import Level
from facefoundry.media.write import VideoWriter
from facefoundry.recipes import load

# x264's preset `medium` and ffmpeg's defaults for `-crf`: what x264 writes into its own stream.
MEDIUM = {
    "ref": "3",
    "deblock": "1:0:0",
    "me": "hex",
    "subme": "7",
    "trellis": "1",
    "bframes": "3",
    "b_adapt": "1",
    "weightp": "2",
    "keyint": "250",
    "keyint_min": "25",
    "scenecut": "40",
    "rc_lookahead": "40",
    "rc": "crf",
    "mbtree": "1",
    "qcomp": "0.60",
    "aq": "1:1.00",
}


def write(folder: Path, level: Level, frames: list[np.ndarray]) -> Path:
    height, width = frames[0].shape[:2]
    with VideoWriter(folder / f"{level.name}.mp4", level, (30, 1), width, height) as writer:
        for frame in frames:
            writer.write(frame)
    return folder / f"{level.name}.mp4"


def settings_of(path: Path) -> dict[str, str]:
    found = re.search(rb"x264 - core[^\0]*? options: ([^\0]*)", path.read_bytes())
    assert found is not None
    return dict(word.split("=", 1) for word in found.group(1).decode("latin-1").split() if "=" in word)


@pytest.mark.parametrize("name", ["raw", "c23", "c40"])
def test_a_level_of_ffpp_is_encoded_with_x264s_medium_and_ffmpegs_defaults(tmp_path: Path, name: str) -> None:
    (level,) = (level for level in load("ffpp").compression.levels if level.name == name)
    spec = Level(level.name, level.codec, level.crf, level.pixel_format, level.preset)
    random = np.random.default_rng(0)
    found = settings_of(write(tmp_path, spec, [random.integers(0, 256, (66, 81, 3), dtype=np.uint8)] * 3))
    # Lossless means a quantiser of 0, to which x264 turns a crf of 0.
    expected = {"rc": "cqp", "qp": "0", "keyint": "250"} if name == "raw" else {**MEDIUM, "crf": f"{level.crf}.0"}
    assert {key: found[key] for key in expected} == expected


def test_colours_are_those_of_bt601_in_limited_range(tmp_path: Path) -> None:
    frame = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    path = write(tmp_path, Level("exact", "libx264", 0, "yuv444p", "medium"), [frame])
    with av.open(str(path)) as container:
        decoded = next(container.decode(video=0)).to_ndarray(format="yuv444p").astype(float)
    blue, green, red = np.moveaxis(frame / 255.0, -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    expected = [16 + 219 * luma, 128 + 224 * (blue - luma) / 1.772, 128 + 224 * (red - luma) / 1.402]
    for plane, wanted in zip(decoded, expected, strict=True):
        assert np.abs(plane - wanted).max() <= 1.0
