"""The demo's clips: what the rest of the product must be able to work with."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

pytest.importorskip("dlib")
pytest.importorskip("skimage")
pytest.importorskip("matplotlib")

from demo import motion, portraits
from demo.clip import FRAME_RATE, SIZE, write_clips
from demo.warp import Puppet

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def weights() -> Path:
    """Skips where the landmarks' weights are not installed."""
    try:
        return portraits.predictor_path()
    except FileNotFoundError as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> dict[str, Path]:
    return {path.stem: path for path in write_clips(tmp_path_factory.mktemp("clips"))}


@pytest.fixture(scope="module")
def decoded(clips) -> dict[str, list[np.ndarray]]:
    return {name: decode(path) for name, path in clips.items()}


@pytest.fixture(scope="module")
def landmarks(decoded) -> dict[str, list[list[np.ndarray]]]:
    """Every second frame's faces."""
    return {name: [portraits.find_landmarks(frame) for frame in frames[::2]] for name, frames in decoded.items()}


def decode(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def eye_distance(points: np.ndarray) -> float:
    return float(np.linalg.norm(points[36:42].mean(0) - points[42:48].mean(0)))


def mouth(points: np.ndarray) -> float:
    return float(np.linalg.norm(points[66] - points[62])) / eye_distance(points)


def turn(points: np.ndarray) -> float:
    return float(points[30, 0] - points[[0, 16], 0].mean()) / eye_distance(points)


def test_the_two_clips_last_four_to_five_seconds_and_have_their_size(clips, decoded):
    assert set(clips) == {"astronaut", "hopper"}
    for name, path in clips.items():
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264"
            assert stream.average_rate == FRAME_RATE
            assert stream.pix_fmt == "yuv420p"
            assert not container.streams.audio
        assert 4 <= len(decoded[name]) / FRAME_RATE <= 5
        assert {frame.shape for frame in decoded[name]} == {(SIZE, SIZE, 3)}


def test_nearly_every_frame_shows_exactly_one_face(landmarks):
    for faces in landmarks.values():
        assert np.mean([len(found) == 1 for found in faces]) >= 0.95


def test_the_mouths_open_clearly_and_the_heads_turn(landmarks):
    for faces in landmarks.values():
        openings = [mouth(found[0]) for found in faces if found]
        assert np.percentile(openings, 90) > 2 * np.percentile(openings, 25)
        assert np.percentile(openings, 90) - np.percentile(openings, 10) > 0.12
        turns = [turn(found[0]) for found in faces if found]
        assert max(turns) - min(turns) > 0.3


def test_a_frame_changes_little_to_the_next_one(decoded):
    for frames in decoded.values():
        steps = [np.abs(a.astype(int) - b).mean() for a, b in pairwise(frames)]
        assert np.mean(steps) > 0.1
        assert max(steps) < 25


def test_the_same_call_writes_the_same_bytes(clips, tmp_path):
    command = [sys.executable, "-m", "demo", str(tmp_path / "again")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    for name, path in clips.items():
        assert (tmp_path / "again" / f"{name}.mp4").read_bytes() == path.read_bytes()


def test_a_blink_shuts_the_eyes_and_touches_nothing_else():
    puppet = Puppet(portraits.astronaut(), SIZE)
    still = {field: np.zeros(2) for field in motion.Motion.__dataclass_fields__} | {"scale": np.ones(2)}
    opened, shut = (
        puppet.draw(motion.Motion(**still | {"blink": np.array([0.0, 1.0])}), frame).astype(int) for frame in (0, 1)
    )
    changed = np.abs(opened - shut).max(axis=2) > 0
    points = portraits.find_landmarks(opened.astype(np.uint8))[0]
    rows = np.flatnonzero(changed.any(axis=1))
    assert changed.any()
    assert rows.min() > points[17:27, 1].min() - 5
    assert rows.max() < points[30, 1]
    pupils = [points[36:42].mean(0).astype(int), points[42:48].mean(0).astype(int)]
    for x, y in pupils:
        assert shut[y - 4 : y + 2, x - 3 : x + 4].mean() > opened[y - 4 : y + 2, x - 3 : x + 4].mean() + 20


def test_two_seeds_move_differently_and_one_seed_the_same():
    first, again, other = (motion.invent(seed, 100, 25, closed=0.0) for seed in (1, 1, 2))
    assert np.array_equal(first.yaw, again.yaw)
    assert np.array_equal(first.mouth, again.mouth)
    assert not np.allclose(first.yaw, other.yaw)
    assert first.mouth.min() >= 0
    assert first.mouth.max() > 0.7
    assert first.blink.max() == pytest.approx(1, abs=0.1)
