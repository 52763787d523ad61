"""WatchTraining sends changes, and a sign of life while there are none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from facefoundry.errors import Interrupted
from facefoundry.rpc.call import Pause
from facefoundry.settings import StoreSettings
from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2
from services.trainer.settings import TrainerSettings
from tests.services.trainer.serving import servicer_of

RUNNING, SUCCEEDED = trainer_pb2.Training.STATE_RUNNING, trainer_pb2.Training.STATE_SUCCEEDED


class Time(threading.Event):
    """A clock that the pauses of a watch move, and a drain event that is set at a moment of it."""

    def __init__(self, drains_at: float = float("inf")) -> None:
        super().__init__()
        self.now = 0.0
        self._drains_at = drains_at

    def is_set(self) -> bool:
        return self.now >= self._drains_at


class Iterations:
    """Trainings with one that does an iteration every 40 s, and succeeds after a given time."""

    def __init__(self, time: Time, succeeds_at: float) -> None:
        self._time = time
        self._succeeds_at = succeeds_at

    def follow(self, uri: str, max_age_seconds: float) -> trainer_pb2.Training:
        now = self._time.now
        return trainer_pb2.Training(
            uri=uri, iteration=int(now // 40), state=RUNNING if now < self._succeeds_at else SUCCEEDED
        )


class Call:
    """The context of a call that nobody cancels."""

    def is_active(self) -> bool:
        return True


def watch(time: Time, succeeds_at: float) -> Iterator[tuple[float, trainer_pb2.Training]]:
    """The time and the training of each message."""
    trainings: Any = Iterations(time, succeeds_at)
    context: Any = Call()
    servicer = servicer_of(Store(StoreSettings()), trainings, TrainerSettings(), time, clock=lambda: time.now)
    for message in servicer.WatchTraining(trainer_pb2.WatchTrainingRequest(training_uri="x"), context):
        if isinstance(message, Pause):
            time.now += message.seconds
        else:
            yield time.now, message.training


def test_a_snapshot_comes_first_then_every_change_and_every_15_seconds_a_heartbeat() -> None:
    messages = list(watch(Time(), succeeds_at=50))
    assert [(now, training.iteration) for now, training in messages] == [(0, 0), (15, 0), (30, 0), (40, 1), (50, 1)]
    assert [training.state for _, training in messages] == [RUNNING] * 4 + [SUCCEEDED]


@pytest.mark.parametrize(("drains_at", "sent_at"), [(3, [0]), (20, [0, 15])])
def test_a_draining_trainer_ends_a_watch(drains_at: float, sent_at: list[float]) -> None:
    messages = watch(Time(drains_at), succeeds_at=50)
    assert [next(messages)[0] for _ in sent_at] == sent_at
    with pytest.raises(Interrupted):
        next(messages)
