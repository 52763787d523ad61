"""Of twelve pairs of faces made of numbers, gates find exactly the two that are bad.

`python -m benchmarks.gates` does the same with real clips and trainings.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from facefoundry.dataset import comparison, verdict
from facefoundry.dataset.gates import DEFAULT_GATES, Gate
from facefoundry.dataset.record import FakeRecord
from facefoundry.faces.alignments import Alignments
from facefoundry.v1 import recipe_pb2

FRAMES, PEOPLE = 120, 24
GATES = (*DEFAULT_GATES, Gate(measure="head", min=0.6), Gate(measure="jitter", max=3.0))
SHAPE = np.random.default_rng(7).normal(0, 40, (68, 2)) + 200
LOOKS = np.random.default_rng(8).normal(0, 0.055, (PEOPLE, 128))


def clip(person: int, look: NDArray[np.float64] | None = None, trembling: float = 0.3) -> Alignments:
    """A clip of a person who speaks and turns the head, each in their own way; `look` is whose face it has."""
    rng = np.random.default_rng(person)
    time = np.arange(FRAMES) / 25
    points = np.tile(SHAPE, (FRAMES, 1, 1)) + rng.normal(0, trembling, (FRAMES, 68, 2))
    points[:, 0], points[:, 16], points[:, 8], points[:, 17:27] = (100, 180), (300, 180), (200, 330), (200, 130)
    points[:, 36:42] = np.array([150, 170]) + rng.normal(0, trembling, (FRAMES, 6, 2))
    points[:, 42:48] = np.array([250, 170]) + rng.normal(0, trembling, (FRAMES, 6, 2))
    points[:, 62], points[:, 66] = (200, 260), (200, 262)
    points[:, 66, 1] += 25 * np.abs(np.sin(2 * np.pi * rng.uniform(0.4, 2) * time + rng.uniform(0, 6)))
    points[:, 30] = (200, 220)
    points[:, 30, 0] += 20 * np.sin(2 * np.pi * rng.uniform(0.1, 0.4) * time + rng.uniform(0, 6))
    embeddings = (LOOKS[person] if look is None else look) + rng.normal(0, 0.01, (FRAMES, 128))
    return Alignments(
        boxes=np.zeros((FRAMES, 4), np.int32),
        landmarks=points.astype(np.float32),
        matrices=np.zeros((FRAMES, 2, 3)),
        reasons=np.zeros(FRAMES, np.uint8),
        frame_digests=np.zeros(FRAMES, np.uint64),
        crop_digests=np.zeros(FRAMES, np.uint64),
        frame_rate=(25, 1),
        width=400,
        height=400,
        decoder="none",
        engine="none",
        embeddings=embeddings.astype(np.float32),
    )


def collapsed(target: Alignments, look: NDArray[np.float64]) -> Alignments:
    """A fake that shows one face whatever the target does: brows, eyes, nose and mouth stand still."""
    rng = np.random.default_rng(99)
    still = target.landmarks.copy()
    still[:, 17:] = still[0, 17:] + rng.normal(0, 0.3, (FRAMES, 51, 2))
    return replace(target, landmarks=still, embeddings=(look + rng.normal(0, 0.01, (FRAMES, 128))).astype(np.float32))


def measured(target: int, source: int, kind: str) -> FakeRecord:
    """A fake of two people, measured as a run does it."""
    of_target, of_source = clip(target), clip(source)
    mixed = 0.65 * LOOKS[source] + 0.35 * LOOKS[target]
    looks = {"good": mixed, "collapsed": 0.5 * LOOKS.mean(axis=0), "wrong subject": LOOKS[(source + 5) % PEOPLE]}
    swap = clip(target, looks[kind], trembling=0.4)
    if kind == "collapsed":
        swap = collapsed(of_target, looks[kind])
    control = clip(target, 0.9 * LOOKS[target] + 0.1 * LOOKS[source])
    frames = comparison.sampled_frames(np.ones(FRAMES, np.bool_), recipe_pb2.ConversionOptions(), FRAMES)
    found = comparison.identity(swap.take(frames), control.take(frames), of_source, of_target)
    fake = FakeRecord(f"{target}_{source}", str(target), str(source), frames=FRAMES, identity=found)
    fake.quality = {"identity": found.nearer, "identity_gain": found.gain, "sharpness": 0.7, "seam": 1.0}
    fake.quality |= comparison.motion(swap.take(frames), of_target.take(frames), frames)
    verdict.judge(fake, GATES)
    return fake


@pytest.fixture(scope="module")
def fakes() -> list[tuple[str, FakeRecord]]:
    """Both fakes of twelve pairs: the fourth training collapsed, and the ninth saw another person."""
    kinds = ["good"] * 12
    kinds[3], kinds[8] = "collapsed", "wrong subject"
    sides = [(kind, 2 * number, 2 * number + 1) for number, kind in enumerate(kinds)]
    return [(kind, measured(*ids, kind)) for kind, a, b in sides for ids in ((a, b), (b, a))]


def test_gates_find_exactly_the_fakes_of_the_two_bad_pairs(fakes: list[tuple[str, FakeRecord]]) -> None:
    assert [fake.id for kind, fake in fakes if fake.failed] == [fake.id for kind, fake in fakes if kind != "good"]


def test_they_say_what_is_wrong_with_each(fakes: list[tuple[str, FakeRecord]]) -> None:
    why = {kind: {failed.measure for failed in fake.failed} for kind, fake in fakes}
    assert why == {
        "good": set(),
        "collapsed": {"identity", "mouth", "head"},
        "wrong subject": {"identity", "identity_gain"},
    }
