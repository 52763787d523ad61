"""When a failed call is repeated, on a clock that only the waits move."""

import pytest

from facefoundry.errors import Busy, Cancelled, Interrupted, InvalidInput, Unavailable
from facefoundry.rpc.retries import Retries, counted_retries


class Clock:
    """A clock that stands still but for the waits, which it records."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        self.stopped = False

    def wait(self, seconds: float) -> bool:
        if seconds:
            self.waits.append(seconds)
            self.now += seconds
        return self.stopped


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def retries(clock):
    return Retries(10.0, clock.wait, lambda: clock.now)


def test_an_unavailable_service_is_retried_until_the_time_is_over(clock, retries):
    error = Unavailable("gone")
    with pytest.raises(Unavailable) as caught:
        while True:
            retries.wait_after(error)
    assert caught.value is error
    assert 10 < clock.now < 10 + 30 * 1.3


def test_waits_grow_from_a_fraction_of_a_second_to_half_a_minute_and_differ_between_callers(clock, retries):
    for _ in range(20):
        retries.wait_after(Busy("full"))
    for nth, wait in enumerate(clock.waits):
        longest = min(0.2 * 2**nth, 30)
        assert 0.7 * longest <= wait <= 1.3 * longest
    assert len(set(clock.waits)) == 20


def test_waiting_for_a_free_slot_has_no_limit(clock, retries):
    for _ in range(50):
        retries.wait_after(Busy("full"))
    assert clock.now > 100 * 10


def test_progress_restarts_the_time_and_the_waits(clock, retries):
    for _ in range(40):
        retries.wait_after(Unavailable("gone"))
        retries.progressed()
    assert max(clock.waits) <= 0.2 * 1.3


def test_a_wait_is_at_most_what_the_service_asks_for(clock, retries):
    for _ in range(6):
        retries.wait_after(Interrupted("draining", retry_after_seconds=0.1))
    assert max(clock.waits) <= 0.1 * 1.3


def test_other_errors_are_raised_at_once(clock, retries):
    with pytest.raises(InvalidInput):
        retries.wait_after(InvalidInput("wrong"))
    assert not clock.waits


def test_a_stopped_client_raises_cancelled_and_does_not_wait(clock, retries):
    clock.stopped = True
    with pytest.raises(Cancelled):
        retries.wait_after(Busy("full"))
    assert not clock.waits


def test_tries_that_are_repeated_are_counted_and_waits_for_a_slot_are_not(retries):
    retries.wait_after(Unavailable("before"))
    with counted_retries() as count:
        for error in (Unavailable("gone"), Busy("full"), Interrupted("stopping")):
            retries.wait_after(error)
        with pytest.raises(InvalidInput):
            retries.wait_after(InvalidInput("wrong"))
        assert count() == 2
    retries.wait_after(Unavailable("after"))
    assert count() == 2
