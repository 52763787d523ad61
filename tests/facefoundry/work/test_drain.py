import threading

import pytest

from facefoundry.errors import Interrupted
from facefoundry.work.drain import Drain


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def stopping():
    return threading.Event()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def drain(stopping, clock):
    return Drain("converter", stopping, 10.0, clock)


def test_a_process_that_goes_on_ends_no_call(drain, clock):
    drain.refuse()
    clock.now += 1000
    drain.check()
    drain.check(part_is_finished=True)


def test_a_stopping_process_refuses_new_work(drain, stopping):
    stopping.set()
    with pytest.raises(Interrupted, match="This converter is stopping") as caught:
        drain.refuse()
    assert caught.value.retry_after_seconds


def test_a_running_call_ends_at_its_next_finished_part(drain, stopping):
    stopping.set()
    drain.check()
    with pytest.raises(Interrupted, match="Finished parts are kept"):
        drain.check(part_is_finished=True)


def test_a_call_without_a_finished_part_ends_after_most_of_the_drain_time(drain, stopping, clock):
    clock.now += 1000
    stopping.set()
    drain.check()
    clock.now += 7.9
    drain.check()
    clock.now += 0.2
    with pytest.raises(Interrupted):
        drain.check()
