"""The pairs and tables of the benchmark of gates; its runs take minutes and are made by hand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks import gates
from benchmarks.material import shots, write_clip
from benchmarks.real_faces import RealFace, real_fake, watch
from facefoundry.dataset import verdict
from facefoundry.dataset.gates import DEFAULT_GATES, MEASURES
from facefoundry.dataset.record import FakeRecord


def test_six_clips_make_twelve_pairs_in_which_each_is_as_often() -> None:
    pairs = gates.pairs_of("abcdef", 12)
    assert len({frozenset(pair) for pair in pairs}) == 12
    assert set(Counter(name for pair in pairs for name in pair).values()) == {4}


@pytest.mark.parametrize(("clips", "count"), [(3, 3), (4, 6), (6, 12), (8, 12), (12, 12), (13, 12)])
def test_a_good_pair_has_the_same_a_as_the_one_that_shows_another_person(clips: int, count: int) -> None:
    for ids in ("abcdefghijklm"[:clips], "nopabcdefghij"[:clips]):
        *good, _, wrong = gates.pairs_of(ids, count)
        assert any(pair.a == wrong.a for pair in good)


def test_a_row_has_a_cell_for_each_measure_and_names_the_gates_that_fail() -> None:
    fake = FakeRecord("a_b", "a", "b", quality={"mouth": -0.123, "mouth_motion": 0.001, "identity_gain": 0.01})
    verdict.judge(fake, DEFAULT_GATES)
    cells = [cell.strip() for cell in gates.row(fake, "good").strip("|").split("|")]
    assert len(cells) == len(MEASURES) + 3
    assert cells[:2] == ["a_b", "good"] and cells[-1] == "identity_gain" and "-0.123" in cells


def test_a_real_video_of_the_source_is_a_perfect_fake() -> None:
    rng = np.random.default_rng(1)
    landmarks = rng.normal(100, 20, (12, 68, 2)).astype(np.float32)
    target, source = (
        RealFace(name, list(range(12)), landmarks, landmarks, np.full((4, 128), level, np.float32), {"seam": 1.0})
        for name, level in (("a", 0.0), ("b", 0.05))
    )
    made = real_fake(target, source)
    assert made.id == "a_b" and made.identity and made.identity.swap_to_source == pytest.approx(0)
    assert made.quality["identity"] == made.quality["identity_gain"] == pytest.approx(0.05 * 128**0.5, abs=1e-4)
    assert (made.quality["mouth"], made.quality["jitter"], made.quality["seam"]) == (1, 1, 1)


def test_a_real_clip_encoded_once_more_looks_and_moves_as_it_did(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", [shot.frame for shot in shots(12, face=140, size=(480, 360))])
    face = watch(clip)
    figures = real_fake(face, face).quality
    assert 0.5 < (figures["sharpness"] or 0) <= 1.05 and 0.9 < (figures["seam"] or 0) < 1.1
    assert (figures["colour_step"] or 9) < 2.3 and (figures["mean_flicker"] or 9) < 4
    assert len(face.frames) == 12 and face.embeddings.shape == (4, 128)
