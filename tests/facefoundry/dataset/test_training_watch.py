"""One stream follows all trainings of a run."""

from __future__ import annotations

import queue
from collections.abc import Generator
from concurrent.futures import Future
from typing import cast

import pytest

from facefoundry.client import Client
from facefoundry.dataset.training_watch import TrainingWatch
from facefoundry.errors import DataLoss, Unavailable
from facefoundry.v1 import trainer_pb2
from tests.waiting import wait_until

QUEUED, RUNNING = trainer_pb2.Training.STATE_QUEUED, trainer_pb2.Training.STATE_RUNNING
FAILED, SUCCEEDED = trainer_pb2.Training.STATE_FAILED, trainer_pb2.Training.STATE_SUCCEEDED


def training(uri: str, state: trainer_pb2.Training.State.ValueType, attempt: int = 1) -> trainer_pb2.Training:
    return trainer_pb2.Training(uri=uri, state=state, attempt=attempt)


class Feed:
    """A client whose streams send what a test puts in."""

    def __init__(self) -> None:
        self.sent: queue.SimpleQueue[trainer_pb2.Training | Exception] = queue.SimpleQueue()
        self.streams = 0

    def watch_trainings(self, dataset: str) -> Generator[trainer_pb2.Training, None, None]:
        self.streams += 1
        while True:
            item = self.sent.get(timeout=20)
            if isinstance(item, Exception):
                raise item
            yield item


class Followed:
    """A training that a watch follows, and the states that it told."""

    def __init__(self, watch: TrainingWatch, started: trainer_pb2.Training) -> None:
        self.states: list[int] = []
        self.ended: Future[trainer_pb2.Training] = watch.follow(started, lambda seen: self.states.append(seen.state))


def test_one_stream_is_open_while_any_training_is_followed() -> None:
    feed = Feed()
    watch = TrainingWatch(cast(Client, feed), "set")
    first, second = (Followed(watch, training(uri, QUEUED)) for uri in "ab")
    for state in (RUNNING, SUCCEEDED):
        feed.sent.put(training("a", state))
    assert first.ended.result(20).state == SUCCEEDED and first.states == [QUEUED, RUNNING, SUCCEEDED]
    feed.sent.put(training("b", FAILED))
    assert second.ended.result(20).state == FAILED
    third = Followed(watch, training("c", QUEUED))
    feed.sent.put(training("c", SUCCEEDED))
    assert third.ended.result(20).state == SUCCEEDED
    assert feed.streams == 2


def test_a_training_that_had_ended_opens_no_stream() -> None:
    feed = Feed()
    done = Followed(TrainingWatch(cast(Client, feed), "set"), training("a", SUCCEEDED))
    assert done.ended.result(0).state == SUCCEEDED and done.states == [SUCCEEDED]
    assert feed.streams == 0


def test_the_end_of_an_earlier_attempt_is_not_that_of_the_one_that_was_started() -> None:
    feed = Feed()
    followed = Followed(TrainingWatch(cast(Client, feed), "set"), training("a", QUEUED, attempt=2))
    feed.sent.put(training("a", FAILED, attempt=1))
    feed.sent.put(training("a", SUCCEEDED, attempt=2))
    assert followed.ended.result(20).attempt == 2
    assert followed.states == [QUEUED, SUCCEEDED]


def test_a_training_that_ended_before_it_was_followed_is_known() -> None:
    feed = Feed()
    watch = TrainingWatch(cast(Client, feed), "set")
    other = Followed(watch, training("other", QUEUED))
    feed.sent.put(training("a", SUCCEEDED))
    feed.sent.put(training("other", RUNNING))
    wait_until(lambda: RUNNING in other.states)
    assert Followed(watch, training("a", QUEUED)).ended.result(20).state == SUCCEEDED
    feed.sent.put(training("other", SUCCEEDED))
    other.ended.result(20)


def test_a_damaged_document_fails_its_own_training_and_a_lost_stream_all() -> None:
    feed = Feed()
    watch = TrainingWatch(cast(Client, feed), "set")
    damaged, other = (Followed(watch, training(uri, QUEUED)) for uri in "ab")
    broken = training("a", trainer_pb2.Training.STATE_DAMAGED, attempt=0)
    broken.failure.reason = "BAD_DOCUMENT"
    feed.sent.put(broken)
    with pytest.raises(DataLoss) as caught:
        damaged.ended.result(20)
    assert caught.value.reason == "BAD_DOCUMENT" and not other.ended.done()
    feed.sent.put(Unavailable("The trainer does not answer."))
    with pytest.raises(Unavailable, match="does not answer"):
        other.ended.result(20)


def test_what_a_state_breaks_in_its_caller_ends_that_training_alone() -> None:
    feed = Feed()
    watch = TrainingWatch(cast(Client, feed), "set")
    other = Followed(watch, training("b", QUEUED))

    def full(seen: trainer_pb2.Training) -> None:
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        watch.follow(training("a", QUEUED), full).result(20)
    feed.sent.put(training("b", SUCCEEDED))
    assert other.ended.result(20).state == SUCCEEDED
