"""What the host and the compiled loop make together, and what is made ahead."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from services.trainer.worker.batches import Ahead, Composed, TwoStages
from services.trainer.worker.draws import Sampler
from tests.services.trainer.worker.crops import natural, options


def test_both_ways_to_augment_make_the_same_batches_within_half_a_level() -> None:
    crops, sampler = natural(6), Sampler(options(8), "a", 6)
    made = []
    for kind in (TwoStages, Composed):
        batches = kind(crops, sampler, 64, 48.0)
        made.append([np.asarray(part) for part in batches.finish(batches.prepare(2))])
    for two_stages, composed in zip(*made, strict=True):
        assert two_stages.dtype == composed.dtype == np.float32
        assert two_stages.shape == composed.shape == (8, 64, 64, 3)
        assert composed.min() >= 0 and composed.max() <= 1
        assert np.abs(two_stages - composed).mean() * 255 <= 0.5


def test_the_next_value_is_made_while_the_last_one_is_used() -> None:
    made: list[int] = []
    second = threading.Event()

    def make(number: int) -> int:
        made.append(number)
        if number == 5:
            second.set()
        return number * number

    ahead = Ahead(make)
    assert ahead.get(4) == 16
    assert second.wait(10)
    assert ahead.get(5) == 25
    assert ahead.get(5) == 25
    assert ahead.get(9) == 81, "a number that was not expected is made too"
    assert made[:2] == [4, 5] and made.count(5) == 1


def test_an_error_of_the_thread_reaches_the_caller(fail: Callable[[int], int]) -> None:
    with pytest.raises(ZeroDivisionError):
        Ahead(fail).get(0)


@pytest.fixture
def fail() -> Callable[[int], int]:
    return lambda number: 1 // 0
