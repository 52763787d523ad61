"""WatchTrainings tells the changes of all trainings of a run, and reads no training that waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Literal

import pytest

from facefoundry.client import Client
from facefoundry.errors import InvalidInput, Unavailable, Unusable
from facefoundry.settings import ChannelSettings, StoreSettings, read
from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2
from services.trainer import worker_protocol
from services.trainer.backends.base import Job, JobState
from services.trainer.settings import TrainerSettings
from services.trainer.training_store import TrainingStore
from services.trainer.trainings import Trainings, job_name
from services.trainer.watch_streams import TrainingStream
from services.trainer.watching import LabelWatch
from services.trainer.worker_protocol import Attempt, Outcome
from tests.services.trainer.documents import commit_model, put_status
from tests.services.trainer.queue_backend import QueueBackend
from tests.services.trainer.serving import serving
from tests.services.trainer.test_listing import CountingStore, attempt_number

QUEUED, RUNNING = trainer_pb2.Training.STATE_QUEUED, trainer_pb2.Training.STATE_RUNNING
SUCCEEDED, CANCELLED = trainer_pb2.Training.STATE_SUCCEEDED, trainer_pb2.Training.STATE_CANCELLED
ROOM = 1 << 20


@dataclass
class Clock:
    """A clock that a test moves."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Run:
    """Trainings with the label `set`, and one trainer of several."""

    store: CountingStore
    backend: QueueBackend
    clock: Clock
    trainings: Trainings

    def put(self, index: int) -> Attempt:
        """Save an attempt, and queue its job."""
        attempt = attempt_number(index)
        documents = TrainingStore(self.store)
        documents.save_attempt(attempt)
        documents.save_label(attempt.prefix, "set")
        self.backend.start(job_name(attempt), "uri")
        return attempt

    def succeed(self, attempt: Attempt) -> None:
        """Commit a model, and end the job."""
        commit_model(self.store, attempt)
        self.backend.move(job_name(attempt), JobState.SUCCEEDED)

    @contextmanager
    def stream(self, position: str = "", room: int = ROOM) -> Iterator[Stream]:
        with self.trainings.watch("set") as watch:
            yield Stream(TrainingStream(watch, position, room), self)


@dataclass
class Stream:
    """A stream, and the looks that a test has it make."""

    made: TrainingStream
    run: Run

    def trainings(self) -> dict[str, trainer_pb2.Training]:
        """The trainings that the next look sends, by pair."""
        self.run.clock.move(1)
        messages = self.made.messages(lambda: True)
        return {training.pair_id: training for message in messages for training in message.trainings}

    def sent(self) -> dict[str, int]:
        """Their states."""
        return {pair: training.state for pair, training in self.trainings().items()}


@pytest.fixture
def run(store: Store, store_settings: StoreSettings) -> Run:
    return new_run(store_settings, QueueBackend(), Clock(datetime.now(timezone.utc)))


def new_run(store_settings: StoreSettings, backend: QueueBackend, clock: Clock) -> Run:
    """A trainer with a memory of its own."""
    counted = CountingStore(store_settings)
    return Run(counted, backend, clock, Trainings(counted, backend, TrainerSettings(), clock))


def test_all_trainings_come_first_and_then_only_those_that_change(run: Run) -> None:
    attempts = [run.put(index) for index in range(5)]
    with run.stream() as stream:
        assert stream.sent() == {f"A_{index}": QUEUED for index in range(5)}
        assert stream.sent() == {}
        run.backend.move(job_name(attempts[3]), JobState.RUNNING)
        assert stream.sent() == {"A_3": RUNNING}
        put_status(run.store, attempts[3])
        assert stream.sent() == {"A_3": RUNNING}
        run.succeed(attempts[3])
        run.put(9)
        assert stream.sent() == {"A_3": SUCCEEDED, "A_9": QUEUED}
        assert stream.sent() == {}


def test_a_look_at_trainings_that_wait_reads_none_of_them(run: Run) -> None:
    for index in range(12):
        run.put(index)
    with run.stream() as stream, run.stream() as other:
        assert len(stream.sent()) == 12
        assert list(other.made.messages(lambda: True))
        run.store.requests.clear()
        for _ in range(3):
            assert stream.sent() == {} and not list(other.made.messages(lambda: True))
        assert run.store.requests == {"list": 6}, "the index and the ends, once for both streams"


def test_a_place_in_a_queue_is_told_without_reading_the_training(run: Run) -> None:
    names = [job_name(run.put(index)) for index in range(3)]
    run.backend.explain(names[1], "IN_QUEUE", "It is number 2 of 3.")
    with run.stream() as stream:
        first = stream.trainings()["A_1"]
        assert first.diagnosis.message == "It is number 2 of 3."
        run.store.requests.clear()
        run.backend.explain(names[1], "IN_QUEUE", "It is number 1 of 2.")
        changed = stream.trainings()
        assert changed.keys() == {"A_1"} and changed["A_1"].diagnosis.message == "It is number 1 of 2."
        assert first.diagnosis.message == "It is number 2 of 3.", "another stream may be sending it"
        run.backend.explain(names[1], "IN_QUEUE", "x" * 5000)
        assert stream.trainings()["A_1"].diagnosis.message == "x" * 4000 + " ..."
        assert stream.sent() == {}
        assert run.store.requests == {"list": 6}, "the index and the ends"
        run.backend.explain(names[1], "NO_FREE_GPU", "No GPU is free.")
        assert stream.trainings()["A_1"].diagnosis.reason == "NO_FREE_GPU"
        assert run.store.requests["read"] > 0


def test_of_trainings_that_run_a_look_reads_some_and_all_in_turn(run: Run) -> None:
    attempts = [run.put(index) for index in range(20)]
    for attempt in attempts:
        run.backend.move(job_name(attempt), JobState.RUNNING)
    with run.stream() as stream:
        assert len(stream.sent()) == 20
        for attempt in attempts:
            put_status(run.store, attempt)
        run.store.requests.clear()
        looks = [len(stream.sent()) for _ in range(3)]
        assert looks == [16, 4, 0]
        assert run.store.requests["read"] == 3 * 16 * 2, "status and outcome"


def test_a_cancel_by_another_replica_is_told_even_if_it_could_not_stop_the_job(run: Run) -> None:
    attempt = run.put(1)
    with run.stream() as stream:
        assert stream.sent() == {"A_1": QUEUED}
        TrainingStore(run.store).save_outcome(attempt, Outcome(1, "CANCELLED"))
        assert stream.sent() == {"A_1": CANCELLED}


def test_a_new_attempt_follows_the_one_that_ended(run: Run) -> None:
    attempt = run.put(1)
    with run.stream() as stream:
        stream.sent()
        TrainingStore(run.store).save_outcome(attempt, Outcome(1, "CANCELLED"))
        assert stream.sent() == {"A_1": CANCELLED}
        again = replace(attempt, number=2, created=run.clock().isoformat())
        TrainingStore(run.store).save_attempt(again, attempt)
        run.backend.start(job_name(again), "uri")
        assert stream.sent() == {"A_1": QUEUED}


def test_a_damaged_document_costs_its_own_training(run: Run) -> None:
    run.put(1)
    run.store.put_bytes(worker_protocol.attempt_key(run.put(2).prefix), b"{}")
    run.put(3)
    with run.stream() as stream:
        assert sorted(stream.sent().values()) == [QUEUED, QUEUED, trainer_pb2.Training.STATE_DAMAGED]
        assert stream.sent() == {}


def test_another_replica_continues_at_a_position(run: Run, store_settings: StoreSettings) -> None:
    early, late, queued = (run.put(index) for index in range(3))
    TrainingStore(run.store).save_outcome(early, Outcome(1, "SUCCEEDED", ended=run.clock().isoformat()))
    run.clock.move(600)
    with run.stream() as stream:
        assert len(stream.sent()) == 3
        position = stream.made.position
    other = new_run(store_settings, run.backend, run.clock)
    TrainingStore(run.store).save_outcome(late, Outcome(1, "SUCCEEDED", ended=run.clock().isoformat()))
    with other.stream(position) as stream:
        assert stream.sent() == {"A_1": SUCCEEDED, "A_2": QUEUED}, "it knows that A_0 has ended"
        assert stream.sent() == {}
    assert queued.prefix


def test_changes_are_sent_in_messages_that_are_small_enough_and_only_the_last_is_a_position(run: Run) -> None:
    for index in range(10):
        run.put(index)
    with run.stream(room=1500) as stream:
        run.clock.move(1)
        messages = list(stream.made.messages(lambda: True))
    assert len(messages) > 2 and sum(len(message.trainings) for message in messages) == 10
    assert max(message.ByteSize() for message in messages) <= 1500
    assert [bool(message.position) for message in messages] == [False] * (len(messages) - 1) + [True]


@pytest.mark.parametrize("position", ["x", "2026-01-01", "2026-01-01T00:00:00", "0" * 900])
def test_another_text_is_no_position(run: Run, position: str) -> None:
    with pytest.raises(InvalidInput) as caught, run.stream(position):
        pass
    assert caught.value.reason == "POSITION"


def test_a_label_with_too_many_trainings_is_refused(run: Run) -> None:
    for index in range(4):
        run.put(index)
    with ThreadPoolExecutor(1) as pool:
        describe: Callable[[Attempt], trainer_pb2.Training] = lambda attempt: trainer_pb2.Training()  # noqa: E731
        watch = LabelWatch("set", run.store, describe, lambda attempt: None, pool, timedelta(0), run.clock, most=3)
        with pytest.raises(Unusable) as caught:
            watch.look()
    assert caught.value.reason == "TOO_MANY_TRAININGS"


@contextmanager
def paged(run: Run, page_size: int) -> Iterator[Stream]:
    """A stream of trainings of which a look reads a small page."""
    with ThreadPoolExecutor(1) as pool:
        describe: Callable[[Attempt], trainer_pb2.Training] = lambda attempt: run.trainings.get(uri_of(run, attempt))  # noqa: E731
        job_of: Callable[[Attempt], Job | None] = lambda attempt: run.backend.get(job_name(attempt))  # noqa: E731
        watch = LabelWatch(
            "set", run.store, describe, job_of, pool, timedelta(0), run.clock, most=9, page_size=page_size
        )
        yield Stream(TrainingStream(watch, "", ROOM), run)


def uri_of(run: Run, attempt: Attempt) -> str:
    return run.store.uri(attempt.prefix)


def test_the_trainings_of_many_pages_are_sent_page_by_page(run: Run) -> None:
    for index in range(5):
        run.put(index)
    with paged(run, page_size=2) as stream:
        messages = list(stream.made.messages(lambda: True))
    sent = [sorted(training.pair_id for training in message.trainings) for message in messages]
    assert sent == [["A_3", "A_4"], ["A_1", "A_2"], ["A_0"]]
    assert [bool(message.position) for message in messages] == [False, False, True]


def test_a_caller_who_has_gone_is_sent_no_further_page(run: Run) -> None:
    for index in range(5):
        run.put(index)
    waits = [True, True, False]
    with paged(run, page_size=2) as stream:
        assert len(list(stream.made.messages(lambda: waits.pop(0)))) == 2
        assert stream.made.position == ""


def test_one_of_two_looks_finds_what_was_started_last_however_many_pages_there_are(run: Run) -> None:
    for index in range(5):
        run.put(index)
    with paged(run, page_size=2) as stream:
        assert len(stream.sent()) == 5
        for index in range(5, 9):
            run.put(index)
            assert stream.sent() | stream.sent() == {f"A_{index}": QUEUED}


def test_trainings_that_could_not_be_read_are_read_by_the_next_look(run: Run) -> None:
    for index in range(3):
        run.put(index)
    failures = [Unavailable("The backend does not answer.")]

    def job_of(attempt: Attempt) -> Job | None:
        if failures and attempt.pair_id == "A_1":
            raise failures.pop()
        return run.backend.get(job_name(attempt))

    with ThreadPoolExecutor(1) as pool:
        describe: Callable[[Attempt], trainer_pb2.Training] = lambda attempt: trainer_pb2.Training()  # noqa: E731
        watch = LabelWatch("set", run.store, describe, job_of, pool, timedelta(minutes=1), run.clock)
        with pytest.raises(Unavailable):
            watch.look()
        watch.look()
    assert len(watch.changes(0)[0]) == 3


@pytest.mark.parametrize("state", ["CANCELLED", "FAILED"])
def test_a_model_that_was_committed_before_the_worker_stopped_is_told(
    run: Run, state: Literal["CANCELLED", "FAILED"]
) -> None:
    attempt = run.put(1)
    run.backend.move(job_name(attempt), JobState.RUNNING)
    with run.stream() as stream:
        assert stream.sent() == {"A_1": RUNNING}
        TrainingStore(run.store).save_outcome(attempt, Outcome(1, state, ended=run.clock().isoformat()))
        run.backend.cancel(job_name(attempt))
        assert [*stream.sent()] == ["A_1"]
        assert stream.sent() == {}
        run.clock.move(30)
        commit_model(run.store, attempt)
        assert stream.sent() == {"A_1": SUCCEEDED}
        run.store.requests.clear()
        assert stream.sent() == {} and not run.store.requests["read"]


def test_a_training_that_ended_long_ago_is_not_read_again(run: Run) -> None:
    attempts = [run.put(index) for index in range(20)]
    with run.stream() as stream:
        assert len(stream.sent()) == 20
        for attempt in attempts:
            TrainingStore(run.store).save_outcome(attempt, Outcome(1, "CANCELLED", ended=run.clock().isoformat()))
            run.backend.cancel(job_name(attempt))
        assert len(stream.sent()) == 20
        run.store.requests.clear()
        assert stream.sent() == {}
        assert 0 < run.store.requests["read"] <= 16 * 3, "some in turn: outcome, model and status"
        run.clock.move(300)
        stream.sent()
        run.store.requests.clear()
        assert stream.sent() == {} and not run.store.requests["read"]


def test_the_client_goes_on_at_another_replica(run: Run, store_settings: StoreSettings) -> None:
    fast = read(TrainerSettings, poll_seconds=0.05)
    first, second = (Trainings(run.store, run.backend, fast) for _ in range(2))
    ended, queued = run.put(0), run.put(1)
    TrainingStore(run.store).save_outcome(ended, Outcome(1, "SUCCEEDED"))
    with (
        serving(run.store, second, poll_seconds=0.05) as there,
        serving(run.store, first, poll_seconds=0.05) as here,
    ):
        settings = read(ChannelSettings, trainer_address=f"{here.address},{there.address}")
        with Client(settings) as client, closing(client.watch_trainings("set")) as changes:
            assert {next(changes).pair_id for _ in range(2)} == {"A_0", "A_1"}
            stopping = threading.Thread(target=here.server.stop)
            stopping.start()
            run.succeed(queued)
            while (training := next(changes)).state != SUCCEEDED or training.pair_id != "A_1":
                pass
            stopping.join()
