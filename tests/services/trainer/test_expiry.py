"""The objects of a training may expire one by one; the next start writes what is missing and takes nothing for new."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2
from services.trainer import worker_protocol
from services.trainer.messages import ENDED
from tests.services.trainer.documents import attempt_of
from tests.services.trainer.replicas import Replica

MakeReplica = Callable[..., Replica]
Ask = Callable[..., trainer_pb2.StartTrainingRequest]


def test_a_training_whose_attempt_has_expired_before_its_outcomes_is_started_and_not_shown_as_ended(
    store: Store, make_replica: MakeReplica, ask: Ask
) -> None:
    replica = make_replica()
    started = replica.trainings.start(ask())
    replica.trainings.cancel(started.uri)
    store.delete([worker_protocol.attempt_key(attempt_of(store, started).prefix)])
    again = replica.trainings.start(ask())
    assert (again.uri, again.attempt) == (started.uri, 2)
    assert again.state not in ENDED
    assert replica.wait_for(started.uri, trainer_pb2.Training.STATE_RUNNING).attempt == 2


@pytest.mark.parametrize("expired", ["trainings/index/all/", "trainings/index/labels/", "{}/labels/"])
def test_a_label_of_which_a_part_has_expired_is_written_again(
    store: Store, make_replica: MakeReplica, ask: Ask, expired: str
) -> None:
    replica = make_replica()
    attempt = attempt_of(store, replica.trainings.start(ask()))
    gone = list(store.list(expired.format(attempt.prefix)))
    store.delete(gone)
    assert list(replica.trainings.start(ask()).datasets) == ["set"]
    assert gone and all(map(store.exists, gone))
