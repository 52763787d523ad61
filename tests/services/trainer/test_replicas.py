"""Two trainers of one bucket: they share no lock, but they report and do the same.

A hook does what one of them does between two steps of the other.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from facefoundry.errors import DataLoss
from facefoundry.storage import document, keys
from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2
from services.trainer import worker_protocol
from services.trainer.backends.base import JobState
from services.trainer.messages import ENDED
from services.trainer.training_store import TrainingStore
from services.trainer.trainings import job_name
from services.trainer.worker_protocol import Outcome
from tests.services.trainer.documents import LONG_AGO, attempt_of, commit_model, make_old, put_status
from tests.services.trainer.replicas import Replica
from tests.waiting import wait_until

MakeReplica = Callable[..., Replica]
Ask = Callable[..., trainer_pb2.StartTrainingRequest]


def outcomes(store: Store, training: trainer_pb2.Training) -> dict[str, str]:
    prefix = keys.prefix_of(store.bucket, training.uri, "trainings")
    found = store.list(f"{worker_protocol.outcomes_prefix(prefix)}/")
    return {key.rpartition("/")[2]: document.get(store, key, Outcome).state for key in found}


def test_two_clients_who_start_at_once_at_two_replicas_get_one_training(
    make_replica: MakeReplica, ask: Ask, store: Store
) -> None:
    replicas = [make_replica() for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        started = list(pool.map(lambda number: replicas[number % 2].trainings.start(ask()), range(8)))
    assert len({training.uri for training in started}) == 1
    assert {training.attempt for training in started} == {1}
    prefix = keys.prefix_of(store.bucket, started[0].uri, "trainings")
    assert sorted(store.list(f"{prefix}/")) == [f"{prefix}/attempt.json", f"{prefix}/labels/set.txt"]
    (listed,), _ = replicas[0].trainings.list("set", 0, "")
    assert listed.uri == started[0].uri


def test_a_cancel_that_another_replica_sees_half_done_stays_a_cancel(
    make_replica: MakeReplica, ask: Ask, store: Store
) -> None:
    first, second = make_replica(), make_replica()
    started = first.trainings.start(ask())
    make_old(store, started)
    second.backend.before("get", lambda: first.trainings.cancel(started.uri))
    assert second.trainings.get(started.uri).state == trainer_pb2.Training.STATE_CANCELLED
    assert outcomes(store, started) == {"1.json": "CANCELLED"}


def test_a_watch_does_not_restart_a_job_that_another_replica_cancels(
    make_replica: MakeReplica, ask: Ask, store: Store
) -> None:
    first, second = make_replica(), make_replica()
    started = first.trainings.start(ask())
    make_old(store, started)
    second.backend.before("get", lambda: first.trainings.cancel(started.uri))
    assert second.trainings.follow(started.uri, 0.0).state == trainer_pb2.Training.STATE_CANCELLED
    assert second.backend.get(job_name(attempt_of(store, started))) is None


def test_a_start_that_meets_a_cancel_of_another_replica_is_a_new_attempt(
    make_replica: MakeReplica, ask: Ask, store: Store
) -> None:
    first, second = make_replica(), make_replica()
    started = first.trainings.start(ask())
    second.backend.before("start", lambda: first.trainings.cancel(started.uri))
    again = second.trainings.start(ask())
    assert again.attempt == 2 and again.state not in ENDED
    assert second.backend.get(f"{job_name(attempt_of(store, started))[:-1]}1") is None
    assert outcomes(store, started) == {"1.json": "CANCELLED"}


def test_a_late_replica_does_not_hide_the_end_of_a_newer_attempt(
    make_replica: MakeReplica, ask: Ask, store: Store
) -> None:
    first, second = make_replica(), make_replica("report")
    started = first.trainings.start(ask())
    late = attempt_of(store, started)
    second.backend.start(job_name(late), "")
    wait_until(lambda: (job := second.backend.get(job_name(late))) and job.state is JobState.FAILED)

    def overtake() -> None:
        first.trainings.cancel(started.uri)
        assert first.trainings.start(ask()).attempt == 2
        first.trainings.cancel(started.uri)
        # As if the outcome had been saved just after `second` looked for it, and the attempt were still the newest.
        store.delete([worker_protocol.outcome_key(late.prefix, 1)])

    second.backend.before("get", overtake)
    assert second.trainings.get(started.uri).failure.reason == "NO_FACES"
    assert first.trainings.get(started.uri).state == trainer_pb2.Training.STATE_CANCELLED
    assert first.trainings.get(started.uri).attempt == 2
    assert outcomes(store, started) == {"1.json": "FAILED", "2.json": "CANCELLED"}


def test_after_a_late_replica_saved_an_old_attempt_the_next_one_has_an_unused_number(
    make_replica: MakeReplica, ask: Ask, store: Store
) -> None:
    replica = make_replica()
    started = replica.trainings.start(ask())
    original = attempt_of(store, started)
    for _ in range(2):
        replica.trainings.cancel(started.uri)
        replica.trainings.start(ask())
    replica.trainings.cancel(started.uri)
    TrainingStore(store).save_attempt(original)
    again = replica.trainings.start(ask())
    assert again.attempt == 4 and again.state not in ENDED


def test_a_training_that_was_done_before_its_cancel_has_succeeded(
    make_replica: MakeReplica, ask: Ask, store: Store
) -> None:
    first, second = make_replica(), make_replica()
    started = first.trainings.start(ask())
    first.backend.before("cancel", lambda: commit_model(store, attempt_of(store, started)))
    first.trainings.cancel(started.uri)
    for replica in (first, second):
        done = replica.trainings.get(started.uri)
        assert done.state == trainer_pb2.Training.STATE_SUCCEEDED and done.model_uri
    assert first.trainings.start(ask()) == second.trainings.get(started.uri)
    assert outcomes(store, started) == {"1.json": "SUCCEEDED"}


def test_a_training_that_another_replica_runs_is_running_and_not_lost(
    make_replica: MakeReplica, ask: Ask, store: Store
) -> None:
    first, second = make_replica(), make_replica()
    started = first.trainings.start(ask())
    make_old(store, started)
    put_status(store, attempt_of(store, started))
    assert second.trainings.get(started.uri).state == trainer_pb2.Training.STATE_RUNNING
    second.trainings.follow(started.uri, 0.0)
    assert second.backend.get(job_name(attempt_of(store, started))) is None
    put_status(store, attempt_of(store, started), updated=LONG_AGO)
    assert second.trainings.follow(started.uri, 0.0).state not in ENDED
    assert second.backend.get(job_name(attempt_of(store, started))) is not None, (
        "a caller who waits for it has it restarted"
    )


def test_a_lost_training_that_nobody_waits_for_is_not_restarted(
    make_replica: MakeReplica, ask: Ask, store: Store
) -> None:
    started = make_replica().trainings.start(ask())
    make_old(store, started)
    successor = make_replica()
    assert successor.trainings.list("", 0, "")[0][0].failure.reason == "JOB_LOST"
    assert successor.backend.get(job_name(attempt_of(store, started))) is None
    assert successor.trainings.follow(started.uri, 0.0).state not in ENDED
    assert successor.trainings.cancel(started.uri).state == trainer_pb2.Training.STATE_CANCELLED


def test_a_lost_training_can_be_cancelled_for_good(make_replica: MakeReplica, ask: Ask, store: Store) -> None:
    started = make_replica().trainings.start(ask())
    make_old(store, started)
    successor = make_replica()
    assert successor.trainings.get(started.uri).failure.reason == "JOB_LOST"
    assert successor.trainings.cancel(started.uri).state == trainer_pb2.Training.STATE_CANCELLED
    assert successor.trainings.follow(started.uri, 0.0).state == trainer_pb2.Training.STATE_CANCELLED


def test_a_damaged_attempt_or_status_hides_no_other_training(make_replica: MakeReplica, ask: Ask, store: Store) -> None:
    replica = make_replica()
    broken, whole = replica.trainings.start(ask(seed=1)), replica.trainings.start(ask(seed=2))
    store.put_bytes(
        worker_protocol.attempt_key(keys.prefix_of(store.bucket, broken.uri, "trainings")), b'{"training": '
    )
    store.put_bytes(worker_protocol.status_key(keys.prefix_of(store.bucket, whole.uri, "trainings")), b"\x00")
    states = {training.uri: training.state for training in replica.trainings.list("", 0, "")[0]}
    damaged = trainer_pb2.Training.STATE_DAMAGED
    assert states.pop(broken.uri) == damaged and list(states) == [whole.uri] and damaged not in states.values()
    with pytest.raises(DataLoss, match=r"attempt\.json"):
        replica.trainings.get(broken.uri)
