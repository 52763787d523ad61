"""The estimate counts frames, pairs and parameters; speed and sizes are those of an earlier run of the same network."""

from __future__ import annotations

import pytest

from facefoundry import recipes
from facefoundry.dataset.plan import Pair
from facefoundry.dataset.record import FakeRecord, PairRecord, RunRecord, SequenceRecord, StageTime, TrainingRecord
from facefoundry.planning.estimate import Rates, estimate, rates_of
from facefoundry.planning.facts import ClipFacts, FaceFacts
from facefoundry.storage.usage import Usage

FFPP = recipes.load("ffpp")
FFPP_MODEL = 69_662_976 + 2 * 6_199_747


def clip(frames=100, faces=1, **changes):
    samples = [FaceFacts(0, faces)]
    return ClipFacts("", "", frames=frames, width=1280, height=720, size_bytes=10**6, samples=samples, **changes)


def test_the_estimate_grows_with_pairs_and_frames_and_leaves_out_clips_that_fail():
    clips = {name: clip() for name in "abcd"} | {"x": clip(reason="DAMAGED"), "y": clip(faces=0)}
    single = estimate([Pair("a", "b")], clips, FFPP, Rates())
    two = estimate([Pair("a", "b"), Pair("c", "d")], clips, FFPP, Rates())
    failing = estimate([Pair("a", "b"), Pair("c", "x"), Pair("d", "y")], clips, FFPP, Rates())
    assert two.cpu_hours == pytest.approx(2 * single.cpu_hours) and failing == single
    # of 200 frames: read, find and encode; read, swap with the network and encode
    assert single.cpu_hours * 3600 == pytest.approx(200 * (87.78e-3 + 96.09e-3), rel=0.01)
    assert single.stored_bytes == pytest.approx(2e6 + 400 * 137e3 + 12 * FFPP_MODEL)
    assert single.training_hours is None and single.video_bytes is None


def test_a_clip_in_two_pairs_is_extracted_once():
    clips = {name: clip() for name in "abc"}
    apart = estimate([Pair("a", "b")], clips, FFPP, Rates()).cpu_hours
    shared = estimate([Pair("a", "b"), Pair("a", "c")], clips, FFPP, Rates()).cpu_hours
    assert shared < 2 * apart


def rates_from(recipe, speed, video_bytes, training):
    record, pairs = run_of(recipe, speed)
    pairs[0].stages = [StageTime("convert", 1.0, Usage(), video_bytes=video_bytes)]
    return rates_of(record, pairs, training)


def run_of(recipe, speed):
    record = RunRecord(
        "x", "", recipes.options(recipe), sequences={"a": SequenceRecord(width=100, height=50, frames=20, faces=20)}
    )
    pair = PairRecord("a_b", "a", "b", training=TrainingRecord(iterations_per_second=speed))
    pair.fakes = [FakeRecord("a_b", "a", "b", frames=20), FakeRecord("b_a", "unknown", "a", frames=20)]
    return record, [pair]


def test_an_earlier_run_gives_the_speed_of_its_network_and_the_bytes_of_a_pixel():
    training = recipes.options(FFPP.training)
    changed = recipes.load("ffpp")
    changed.training.iterations = 5
    for recipe in (FFPP, changed):
        rates = rates_from(recipe, 50.0, 10**5, training)
        assert rates == Rates(50.0, 1.0), "bytes of the record, whatever files are there"
    clips = {"a": clip(), "b": clip()}
    cost = estimate([Pair("a", "b")], clips, FFPP, rates)
    assert cost.training_hours == pytest.approx(200_000 / 50 / 3600)
    assert cost.video_bytes == pytest.approx(200 * 1280 * 720)


def test_another_network_and_a_run_without_trainings_give_no_speed():
    training = recipes.options(FFPP.training)
    assert rates_from(recipes.load("preview"), 50.0, 0, training).iterations_per_second is None
    assert rates_from(FFPP, 0.0, 0, training).iterations_per_second is None
    assert rates_of(RunRecord("x", "", {}), [], training) == Rates()


def test_an_earlier_run_says_how_the_rates_fit_its_machine():
    training = recipes.options(FFPP.training)
    record, (pair,) = run_of(FFPP, 50.0)
    record.sequences["b"] = SequenceRecord(width=1280, height=720, frames=100, faces=100)
    record.sequences["a"] = record.sequences["b"]
    pair.fakes = [FakeRecord("a_b", "a", "b", frames=100), FakeRecord("b_a", "b", "a", frames=100)]
    clips = {"a": clip(), "b": clip()}
    expected = estimate([Pair("a", "b")], clips, FFPP, Rates()).cpu_hours
    pair.stages = [StageTime("convert", 1.0, Usage(3 * expected * 3600), 1), StageTime("train", 1.0, Usage(9.0), 1)]
    assert rates_of(record, [pair], training).cpu_factor == 1.0, "a part of a run says nothing"
    pair.state = "done"
    rates = rates_of(record, [pair], training)
    assert rates.cpu_factor == pytest.approx(3.0) and not rates.on_gpu
    assert estimate([Pair("a", "b")], clips, FFPP, rates).cpu_hours == pytest.approx(3 * expected)


def test_embeddings_and_comparisons_cost_as_much_as_all_else():
    clips, pairs = {"a": clip(), "b": clip()}, [Pair("a", "b")]
    measured = recipes.load("ffpp")
    measured.extraction.identity = True
    more = estimate(pairs, clips, measured, Rates()).cpu_hours - estimate(pairs, clips, FFPP, Rates()).cpu_hours
    # an embedding of one of five of 200 frames; twice for two fakes, reading all and converting and searching 36 frames
    assert more * 3600 == pytest.approx(40 * 63e-3 + 4 * (100 * 2.28e-3 + 36 * 47.59e-3), rel=0.01)
