from __future__ import annotations

import pytest

from facefoundry.dataset.record import IdentityDistances, TrainingRecord
from facefoundry.report import wording
from facefoundry.storage.info import ReasonCount


def distances(swap_source, swap_target, control_source, control_target=0.5):
    return IdentityDistances(
        swap_to_source=swap_source,
        swap_to_target=swap_target,
        control_to_source=control_source,
        control_to_target=control_target,
        frames=100,
    )


def test_a_swap_passes_when_it_is_nearer_to_the_source_and_the_control_is_farther_by_the_margin():
    verdict = wording.identity_verdict(distances(0.53, 0.72, 0.66))
    assert verdict.passed is True
    assert verdict.sentence == (
        "The swap is nearer to the source (0.53) than to the target (0.72). It is 0.13 nearer to the source than the "
        "control (0.66), which reaches the margin of 0.12."
    )


def test_the_mouth_is_described_with_its_sample_and_its_uncertainty():
    sentence = wording.mouth_sentence(0.6, 32)
    assert "correlation of 0.60" in sentence
    assert "32 sampled frames" in sentence
    assert "0.32 to 0.78" in sentence
    assert "Not measured" in wording.mouth_sentence(None, 0)


def test_the_interval_of_a_correlation_narrows_with_the_frames_and_stays_within_its_range():
    low, high = wording.correlation_interval(0.9, 32)
    closer, farther = wording.correlation_interval(0.9, 300)
    assert -1 < low < closer < 0.9 < farther < high < 1
    assert wording.correlation_interval(1.0, 32) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        (distances(0.73, 0.52, 0.80), "not nearer to the source (0.73)"),
        (distances(0.53, 0.72, 0.57), "below the margin"),
        (distances(0.53, 0.72, 0.50), "no nearer to the source than the control"),
    ],
)
def test_a_swap_that_falls_short_is_told_so(identity, words):
    verdict = wording.identity_verdict(identity)
    assert verdict.passed is False
    assert words in verdict.sentence


def test_the_margin_itself_is_enough():
    assert wording.identity_verdict(distances(0.50, 0.72, 0.62)).passed is True


@pytest.mark.parametrize("identity", [None, distances(None, None, None)])
def test_what_was_not_measured_is_not_judged(identity):
    assert wording.identity_verdict(identity).passed is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (3.21, "3.2 s"), (48, "48 s"), (185, "3 min 05 s"), (7800, "2 h 10 min"), (360_000, "100 h 00 min")],
)
def test_durations_read_naturally(seconds, text):
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(("fps", "text"), [("25/1", "25"), ("30000/1001", "29.97"), ("1/0", "1/0"), ("", "")])
def test_frame_rates_are_numbers_where_they_can_be(fps, text):
    assert wording.frame_rate(fps) == text


def test_times_are_in_utc_and_odd_ones_stay_as_they_are():
    assert wording.moment("2026-03-04T07:06:07+02:00") == "2026-03-04 05:06 UTC"
    assert wording.moment("yesterday") == "yesterday"


def test_options_are_flattened_to_rows():
    options = {
        "training": {"filters": [8, 16], "rate": 0.002, "seed": 12345},
        "levels": [{"name": "raw"}],
        "seamless": True,
        "gain": float("nan"),
    }
    assert dict(wording.flatten(options)) == {
        "training.filters": "8, 16",
        "training.rate": "0.002",
        "training.seed": "12,345",
        "levels[0].name": "raw",
        "seamless": "yes",
        "gain": "not measured",
    }


def test_reasons_are_words():
    assert wording.reason(ReasonCount(reason="NO_FACE", frames=1)) == "1 frame: no face"
    assert wording.reason(ReasonCount(reason="NO_FACE", frames=7)) == "7 frames: no face"


@pytest.mark.parametrize(
    ("states", "words"),
    [
        (["done", "done"], "Finished"),
        (["done", "failed"], "Finished, 1 failed"),
        (["failed"], "Failed"),
        (["failed", "running"], "Running"),
        (["pending"], "Running"),
        ([], "No pairs"),
    ],
)
def test_the_state_of_a_run_follows_from_its_pairs(states, words):
    assert wording.run_state(states)[1] == words


def test_time_left_needs_a_speed_and_something_left():
    assert wording.time_left(TrainingRecord(iterations=100, iteration=40, iterations_per_second=2)) == "30 s"
    assert wording.time_left(TrainingRecord(iterations=100, iteration=40)) is None
    assert wording.time_left(TrainingRecord(iterations=100, iteration=100, iterations_per_second=2)) is None
