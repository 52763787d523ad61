"""Two trainers of one bucket: they share no lock, and yet tell and do the same.

What one does between two steps of the other is done here by a hook.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from facefoundry.errors import DataLoss
from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2
from services.trainer import worker_protocol
from services.trainer.backends.base import JobState
from services.trainer.trainings import ENDED, Trainings, job_name
from services.trainer.worker_protocol import Attempt
from tests.services.trainer.documents import attempt_of, commit_model, put_status

MakeTrainings = Callable[..., Trainings]
Ask = Callable[..., trainer_pb2.StartTrainingRequest]


def between(trainings: Trainings, method: str, act: Callable[[], object]) -> None:
    """Have `act` happen once, right before the trainer's backend does `method`."""
    backend, original = trainings._backend, getattr(trainings._backend, method)

    def hooked(*arguments: str) -> object:
        setattr(backend, method, original)
        act()
        return original(*arguments)

    setattr(backend, method, hooked)


def records(store: Store, training: trainer_pb2.Training) -> dict[str, str]:
    prefix = store.prefix_of(training.uri, "trainings")
    keys = store.list(f"{worker_protocol.outcomes_prefix(prefix)}/")
    return {
        key.rpartition("/")[2]: worker_protocol.from_json(worker_protocol.Outcome, store.get_bytes(key)).state
        for key in keys
    }


def age_request(store: Store, training: trainer_pb2.Training) -> None:
    request = attempt_of(store, training)
    old = Attempt(**{**vars(request), "created": "2020-01-01T00:00:00+00:00"})
    store.put_bytes(worker_protocol.attempt_key(request.prefix), worker_protocol.to_json(old))


def test_two_clients_who_start_at_once_at_two_replicas_get_one_training(
    make_trainings: MakeTrainings, ask: Ask, store: Store
) -> None:
    replicas = [make_trainings() for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        started = list(pool.map(lambda number: replicas[number % 2].start(ask()), range(8)))
    assert len({training.uri for training in started}) == 1
    assert {training.attempt for training in started} == {1}
    assert len(list(store.list("trainings/"))) == 1


def test_a_cancel_seen_half_done_by_another_replica_stays_a_cancel(
    make_trainings: MakeTrainings, ask: Ask, store: Store
) -> None:
    one, two = make_trainings(), make_trainings()
    started = one.start(ask())
    age_request(store, started)
    between(two, "get", lambda: one.cancel(started.uri))
    assert two.get(started.uri).state == trainer_pb2.TRAINING_STATE_CANCELLED
    assert records(store, started) == {"1.json": "CANCELLED"}


def test_a_watch_does_not_wake_a_job_that_another_replica_cancels(
    make_trainings: MakeTrainings, ask: Ask, store: Store
) -> None:
    one, two = make_trainings(), make_trainings()
    started = one.start(ask())
    age_request(store, started)
    between(two, "get", lambda: one.cancel(started.uri))
    assert two.follow(started.uri, 0.0).state == trainer_pb2.TRAINING_STATE_CANCELLED
    assert two._backend.get(job_name(attempt_of(store, started))) is None


def test_a_start_that_meets_a_cancel_of_another_replica_is_a_new_attempt(
    make_trainings: MakeTrainings, ask: Ask, store: Store
) -> None:
    one, two = make_trainings(), make_trainings()
    started = one.start(ask())
    between(two, "start", lambda: one.cancel(started.uri))
    again = two.start(ask())
    assert again.attempt == 2 and again.state not in ENDED
    assert two._backend.get(f"{job_name(attempt_of(store, started))[:-1]}1") is None
    assert records(store, started) == {"1.json": "CANCELLED"}


def test_a_late_replica_does_not_hide_the_end_of_a_newer_attempt(
    make_trainings: MakeTrainings, ask: Ask, store: Store
) -> None:
    one, two = make_trainings(), make_trainings("words")
    started = one.start(ask())
    late = attempt_of(store, started)
    two._backend.start(job_name(late), "")
    deadline = time.monotonic() + 60
    while (job := two._backend.get(job_name(late))) is None or job.state is not JobState.FAILED:
        assert time.monotonic() < deadline
        time.sleep(0.05)

    def overtake() -> None:
        one.cancel(started.uri)
        assert one.start(ask()).attempt == 2
        one.cancel(started.uri)
        store.delete([worker_protocol.outcome_key(late.prefix, 1)])  # as if it had come a moment after `two` looked

    between(two, "get", overtake)
    assert two._describe(late).failure.reason == "NO_FACES"
    assert one.get(started.uri).state == trainer_pb2.TRAINING_STATE_CANCELLED
    assert one.get(started.uri).attempt == 2
    assert records(store, started) == {"1.json": "FAILED", "2.json": "CANCELLED"}


def test_a_request_that_was_put_back_by_a_late_replica_takes_no_ended_attempts_number(
    make_trainings: MakeTrainings, ask: Ask, store: Store
) -> None:
    trainings = make_trainings()
    started = trainings.start(ask())
    first = attempt_of(store, started)
    for _ in range(2):
        trainings.cancel(started.uri)
        trainings.start(ask())
    trainings.cancel(started.uri)
    store.put_bytes(worker_protocol.attempt_key(first.prefix), worker_protocol.to_json(first))
    again = trainings.start(ask())
    assert again.attempt == 4 and again.state not in ENDED


def test_a_training_that_was_done_before_its_cancel_has_succeeded(
    make_trainings: MakeTrainings, ask: Ask, store: Store
) -> None:
    one, two = make_trainings(), make_trainings()
    started = one.start(ask())
    between(one, "cancel", lambda: commit_model(store, attempt_of(store, started)))
    one.cancel(started.uri)
    for trainings in (one, two):
        done = trainings.get(started.uri)
        assert done.state == trainer_pb2.TRAINING_STATE_SUCCEEDED and done.model_uri
    assert one.start(ask()) == two.get(started.uri)
    assert records(store, started) == {"1.json": "SUCCEEDED"}


def test_a_training_that_another_replica_runs_is_running_and_not_lost(
    make_trainings: MakeTrainings, ask: Ask, store: Store
) -> None:
    one, two = make_trainings(), make_trainings()
    started = one.start(ask())
    age_request(store, started)
    put_status(store, attempt_of(store, started))
    assert two.get(started.uri).state == trainer_pb2.TRAINING_STATE_RUNNING
    two.follow(started.uri, 0.0)
    assert two._backend.get(job_name(attempt_of(store, started))) is None
    put_status(store, attempt_of(store, started), updated="2020-01-01T00:00:00+00:00")
    assert two.follow(started.uri, 0.0).state not in ENDED
    assert two._backend.get(job_name(attempt_of(store, started))) is not None, "who waits for it takes it up"


def test_nobody_takes_up_what_nobody_waits_for(make_trainings: MakeTrainings, ask: Ask, store: Store) -> None:
    started = make_trainings().start(ask())
    age_request(store, started)
    successor = make_trainings()
    assert successor.list("", 0, "")[0][0].failure.reason == "JOB_LOST"
    assert successor._backend.get(job_name(attempt_of(store, started))) is None
    assert successor.follow(started.uri, 0.0).state not in ENDED
    assert successor.cancel(started.uri).state == trainer_pb2.TRAINING_STATE_CANCELLED


def test_a_lost_training_can_be_cancelled_for_good(make_trainings: MakeTrainings, ask: Ask, store: Store) -> None:
    started = make_trainings().start(ask())
    age_request(store, started)
    successor = make_trainings()
    assert successor.get(started.uri).failure.reason == "JOB_LOST"
    assert successor.cancel(started.uri).state == trainer_pb2.TRAINING_STATE_CANCELLED
    assert successor.follow(started.uri, 0.0).state == trainer_pb2.TRAINING_STATE_CANCELLED


def test_a_damaged_request_or_report_hides_nothing_else(make_trainings: MakeTrainings, ask: Ask, store: Store) -> None:
    trainings = make_trainings()
    broken, whole = trainings.start(ask(seed=1)), trainings.start(ask(seed=2))
    store.put_bytes(worker_protocol.attempt_key(store.prefix_of(broken.uri, "trainings")), b'{"training": ')
    store.put_bytes(worker_protocol.status_key(store.prefix_of(whole.uri, "trainings")), b"\x00")
    assert [training.uri for training in trainings.list("", 0, "")[0]] == [whole.uri]
    with pytest.raises(DataLoss, match=r"attempt\.json"):
        trainings.get(broken.uri)
