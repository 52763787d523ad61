"""A job never outlives its training for long, whatever happened to the call that ended the training."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from prometheus_client import REGISTRY

from facefoundry.errors import Unavailable
from facefoundry.storage import document, keys
from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2
from services.trainer import worker_protocol
from services.trainer.backends.base import Job
from services.trainer.sweep import Sweep
from services.trainer.trainings import STARTS, job_name, utc_now
from tests.services.trainer.documents import attempt_of
from tests.services.trainer.replicas import HookedBackend, Replica
from tests.waiting import wait_until

MakeReplica = Callable[..., Replica]
Ask = Callable[..., trainer_pb2.StartTrainingRequest]


def fail() -> None:
    raise Unavailable("The API server does not answer.")


class OddBackend(HookedBackend):
    """A backend of another package, which cannot look at one job and raises an error of its own."""

    def __init__(self, replica: Replica, odd: str) -> None:
        super().__init__(replica.backend)
        self.odd, self.asked = odd, list[str]()

    def get(self, name: str) -> Job | None:
        self.asked.append(name)
        if name == self.odd:
            raise KeyError("job")
        return super().get(name)


def swept(replica: Replica) -> float:
    return REGISTRY.get_sample_value("facefoundry_jobs_swept_total", {"backend": replica.backend.name}) or 0.0


@pytest.fixture
def half_cancelled(make_replica: MakeReplica, ask: Ask, store: Store) -> tuple[Replica, str]:
    """A replica with the job of a training whose cancel failed after its outcome had been saved, and its name."""
    replica = make_replica()
    started = replica.trainings.start(ask())
    replica.backend.before("cancel", fail)
    with pytest.raises(Unavailable):
        replica.trainings.cancel(started.uri)
    assert replica.trainings.get(started.uri).state == trainer_pb2.Training.STATE_CANCELLED
    return replica, job_name(attempt_of(store, started))


def test_a_sweep_ends_the_job_of_a_cancel_that_failed(
    half_cancelled: tuple[Replica, str], make_replica: MakeReplica, ask: Ask, store: Store
) -> None:
    replica, name = half_cancelled
    running = replica.trainings.start(ask(seed=9))
    before = swept(replica)
    assert replica.backend.get(name) is not None
    assert Sweep(store, replica.backend, 60.0).once()
    assert replica.backend.get(name) is None
    assert replica.backend.get(job_name(attempt_of(store, running))) is not None
    assert swept(replica) == before + 1


def test_a_sweep_that_failed_is_repeated(half_cancelled: tuple[Replica, str], store: Store) -> None:
    replica, name = half_cancelled
    sweep = Sweep(store, replica.backend, 60.0)
    replica.backend.before("cancel", fail)
    assert sweep.once() and replica.backend.get(name) is not None
    assert not sweep.once(), "not before its time"
    later = Sweep(store, replica.backend, 60.0, lambda: utc_now() + timedelta(minutes=2))
    assert later.once() and replica.backend.get(name) is None


def test_a_job_that_cannot_be_swept_holds_up_no_other_one_and_is_tried_again(
    half_cancelled: tuple[Replica, str], ask: Ask, store: Store
) -> None:
    replica, odd = half_cancelled
    other = replica.trainings.start(ask(seed=9))
    replica.backend.before("cancel", fail)
    with pytest.raises(Unavailable):
        replica.trainings.cancel(other.uri)
    backend, name = OddBackend(replica, odd), job_name(attempt_of(store, other))
    assert Sweep(store, backend, 60.0, lambda: utc_now() + timedelta(hours=1)).once()
    assert sorted(backend.asked) == sorted([odd, name])
    assert Sweep(store, backend, 60.0, lambda: utc_now() + timedelta(hours=2)).once()
    assert backend.asked[2:] == [odd]
    assert replica.backend.get(name) is None
    assert replica.backend.get(odd) is not None
    backend.odd = ""
    assert Sweep(store, backend, 60.0, lambda: utc_now() + timedelta(hours=3)).once()
    assert replica.backend.get(odd) is None


def test_the_sweeps_go_on_after_any_error_and_complete_the_index(
    half_cancelled: tuple[Replica, str], store: Store
) -> None:
    replica, name = half_cancelled
    store.delete(store.list("trainings/index/all/"))
    errors = [ValueError("a defect")]

    def clock() -> datetime:
        if errors:
            raise errors.pop()
        return utc_now()

    stopping = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(Sweep(store, replica.backend, 0.02, clock).run, stopping)
        try:
            wait_until(lambda: running.done() or replica.backend.get(name) is None, 20.0)
            wait_until(lambda: running.done() or bool(replica.trainings.list("", 0, "")[0]), 20.0)
        finally:
            stopping.set()
        running.result()
    assert replica.backend.get(name) is None


def test_times_without_a_zone_in_the_record_are_utc(half_cancelled: tuple[Replica, str], store: Store) -> None:
    replica, name = half_cancelled
    record = b'{"replica": "x", "next": "2026-01-01T00:00:00", "swept": "2026-01-01T00:00:00"}'
    document.put(store, "trainings/sweep.json", record)
    assert Sweep(store, replica.backend, 60.0).once()
    assert replica.backend.get(name) is None


def test_one_replica_sweeps_at_a_time(half_cancelled: tuple[Replica, str], store: Store) -> None:
    replica, _ = half_cancelled
    second = Sweep(store, replica.backend, 60.0)
    results: list[bool] = []
    replica.backend.before("cancel", lambda: results.append(second.once()))
    results.append(Sweep(store, replica.backend, 60.0).once())
    assert results == [False, True]
    with ThreadPoolExecutor(4) as pool:
        sweeps = [Sweep(store, replica.backend, 60.0, lambda: utc_now() + timedelta(hours=1)) for _ in range(4)]
        assert sorted(pool.map(Sweep.once, sweeps)) == [False, False, False, True]


def test_a_sweep_looks_only_at_what_ended_since_the_last_one(
    half_cancelled: tuple[Replica, str], make_replica: MakeReplica, ask: Ask, store: Store
) -> None:
    replica, _ = half_cancelled
    hour = timedelta(hours=1)
    assert Sweep(store, replica.backend, 60.0, lambda: utc_now() + hour).once()
    replica.backend.before("get", lambda: pytest.fail("asked for a job that was swept before"))
    assert Sweep(store, replica.backend, 60.0, lambda: utc_now() + 2 * hour).once()


def test_an_attempt_without_an_outcome_is_not_swept(make_replica: MakeReplica, ask: Ask, store: Store) -> None:
    replica = make_replica()
    started = replica.trainings.start(ask())
    attempt = attempt_of(store, started)
    replica.trainings.cancel(started.uri)
    replica.backend.start(job_name(attempt), "x")
    key = worker_protocol.outcome_key(keys.prefix_of(store.bucket, started.uri, "trainings"), attempt.number)
    store.delete([key])
    assert Sweep(store, replica.backend, 60.0).once()
    assert replica.backend.get(job_name(attempt)) is not None


def test_a_start_that_hangs_holds_up_no_other_training(make_replica: MakeReplica, ask: Ask) -> None:
    replica = make_replica()
    other = replica.trainings.start(ask(seed=1))
    hangs, released = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        assert released.wait(60)

    replica.backend.before("start", hang)
    with ThreadPoolExecutor(STARTS) as pool:
        hanging = pool.submit(replica.trainings.start, ask(seed=2))
        assert hangs.wait(20)
        try:
            cancelled = pool.submit(replica.trainings.cancel, other.uri).result(timeout=20)
            assert cancelled.state == trainer_pb2.Training.STATE_CANCELLED
            assert pool.submit(replica.trainings.start, ask(seed=3)).result(timeout=20).uri
        finally:
            released.set()
        assert hanging.result().uri
