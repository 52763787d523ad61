"""Losses in a bounded number of points."""

from __future__ import annotations

import numpy as np
import pytest

from facefoundry import codec
from services.trainer.worker.history import MAX_POINTS, History


def losses(count: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(size=(count, 2)).astype(np.float32)


def filled(values: np.ndarray, step: int) -> History:
    history = History()
    for start in range(0, len(values), step):
        history.add(min(start + step, len(values)), values[start : start + step])
    return history


def test_few_iterations_are_kept_one_by_one() -> None:
    values = losses(MAX_POINTS)
    history = filled(values, 7)
    assert [point[0] for point in history.points] == list(range(1, MAX_POINTS + 1))
    assert np.allclose([point[1:] for point in history.points], values)


@pytest.mark.parametrize("count", [501, 502, 1000, 1001, 3000, 10_007])
def test_many_become_means_over_equal_stretches(count: int) -> None:
    values = losses(count)
    history = filled(values, 64)
    assert MAX_POINTS / 2 <= len(history.points) <= MAX_POINTS
    assert [point[0] for point in history.points] == [history.stride * (k + 1) for k in range(len(history.points))]
    whole = len(history.points) * history.stride
    means = values[:whole].reshape(-1, history.stride, 2).mean(axis=1)
    assert np.allclose([point[1:] for point in history.points], means, atol=1e-6)
    assert history.count == count - whole


def test_calls_and_resumes_change_nothing() -> None:
    values = losses(2345)
    assert filled(values, 1) == filled(values, 1024)
    begun = filled(values[:1001], 100)
    resumed = codec.from_json(History, codec.to_json(begun))
    resumed.add(2345, values[1001:])
    assert resumed == filled(values, 64)


def falling(count: int) -> np.ndarray:
    """Losses as a training has them: falling from 0.2 towards 0.02, with noise."""
    noise = np.random.default_rng(2).uniform(0.8, 1.2, size=(count, 2))
    return ((0.02 + 0.18 * np.exp(-np.arange(count) / 100))[:, None] * noise).astype(np.float32)


@pytest.mark.parametrize("count", [10, 60, 700, 5000])
def test_a_falling_loss_is_no_collapse(count: int) -> None:
    assert not filled(falling(count), 50).collapsed()


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("at", [300, 2500])
def test_a_side_that_jumps_back_up_and_stays_there_is_a_collapse(side: int, at: int) -> None:
    values = falling(at + 200)
    values[at:, side] = 0.4
    assert filled(values, 50).collapsed()


def test_a_short_spike_is_no_collapse() -> None:
    values = falling(2000)
    values[1990:1993] = 0.4
    assert not filled(values, 50).collapsed()
