"""The list of trainings costs a page what is on the page, and stops when nobody waits for it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import grpc
import pytest

from facefoundry.errors import Cancelled
from facefoundry.settings import StoreSettings, read
from facefoundry.storage import document
from facefoundry.storage.store import Store, StoredObject
from facefoundry.v1 import trainer_pb2, trainer_pb2_grpc
from services.trainer import worker_protocol
from services.trainer.backends.base import Job
from services.trainer.index_repair import IndexRepair
from services.trainer.settings import TrainerSettings
from services.trainer.training_index import TrainingIndex
from services.trainer.training_store import TrainingStore
from services.trainer.trainings import Trainings
from services.trainer.worker_protocol import Attempt, Outcome
from tests.services.trainer.documents import LONG_AGO, attempt_of
from tests.services.trainer.replicas import HookedBackend, Replica
from tests.services.trainer.serving import serving

MakeReplica = Callable[..., Replica]
Ask = Callable[..., trainer_pb2.StartTrainingRequest]
START = datetime(2026, 1, 1, tzinfo=timezone.utc)


class CountingStore(Store):
    """A store that counts its requests by kind."""

    def __init__(self, settings: StoreSettings) -> None:
        super().__init__(settings)
        self.requests: Counter[str] = Counter()

    def objects(
        self, prefix: str, *, folder: bool = False, limit: int | None = None, after: str = ""
    ) -> tuple[StoredObject, ...]:
        self.requests["list labels" if prefix.endswith("/labels/") else "list"] += 1
        assert limit and limit <= 1000, "one request"
        return super().objects(prefix, folder=folder, limit=limit, after=after)

    def get_with_metadata(self, key: str, max_size: int | None = None) -> tuple[bytes, dict[str, str]]:
        self.requests["read"] += 1
        return super().get_with_metadata(key, max_size)


def attempt_number(index: int) -> Attempt:
    created = (START + timedelta(seconds=index)).isoformat()
    return Attempt(f"{index:040x}", 1, f"A_{index}", "extractions/a", "extractions/b", {}, 6, created)


def fill(store: Store, indices: Sequence[int], outcome: Outcome, label: str = "set") -> None:
    """Save trainings that ended long ago."""
    documents = TrainingStore(store)

    def put(index: int) -> None:
        attempt = attempt_number(index)
        documents.save_attempt(attempt)
        documents.save_label(attempt.prefix, label)
        documents.save_outcome(attempt, replace(outcome, ended=LONG_AGO))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(put, indices))


def pairs(page: tuple[list[trainer_pb2.Training], str]) -> list[str]:
    return [training.pair_id for training in page[0]]


def test_a_page_costs_the_same_however_many_trainings_there_are(
    store: Store, store_settings: StoreSettings, make_replica: MakeReplica
) -> None:
    backend = make_replica().backend
    cost = {}
    for first, total in ((0, 20), (20, 120)):
        fill(store, range(first, total), Outcome(1, "SUCCEEDED"), label="few" if first == 0 else "many")
        counted = CountingStore(store_settings)
        trainings = Trainings(counted, backend, TrainerSettings())
        page = trainings.list("", 10, "")
        assert pairs(page) == [f"A_{index}" for index in range(total - 1, total - 11, -1)]
        cost[total] = counted.requests.copy()
        counted.requests.clear()
        assert trainings.list("", 10, "") == page
        assert counted.requests == {"list": 1}
        counted.requests.clear()
        assert pairs(trainings.list("few", 10, "")) == [f"A_{index}" for index in range(19, 9, -1)]
        assert counted.requests["list"] == 1
    assert cost[20] == cost[120] == {"list": 1, "read": 30, "list labels": 10}


def test_what_was_read_ahead_costs_pages_nothing_more(
    store: Store, store_settings: StoreSettings, make_replica: MakeReplica
) -> None:
    fill(store, range(30), Outcome(1, "SUCCEEDED"))
    counted = CountingStore(store_settings)
    trainings, stopping = Trainings(counted, make_replica().backend, TrainerSettings()), threading.Event()
    trainings.read_ahead(stopping)
    assert counted.requests == {"list": 1, "read": 90, "list labels": 30}
    for label in ("", "set"):
        counted.requests.clear()
        assert pairs(trainings.list(label, 30, "")) == [f"A_{index}" for index in range(29, -1, -1)]
        assert counted.requests == {"list": 1}
    stopping.set()
    counted.requests.clear()
    Trainings(counted, make_replica().backend, TrainerSettings()).read_ahead(stopping)
    assert counted.requests == {"list": 1}, "a service that stops reads nothing more"


def test_pages_are_cut_before_they_are_too_large_to_send(store: Store, make_replica: MakeReplica) -> None:
    fill(store, range(30), Outcome(1, "FAILED", "WORKER_CRASHED", "x" * 5000))
    settings = read(TrainerSettings, max_message_bytes=16 << 10)
    trainings = Trainings(store, make_replica().backend, settings)
    token = ""
    seen: list[str] = []
    sizes: list[int] = []
    with (
        serving(store, trainings, max_message_bytes=16 << 10) as served,
        grpc.insecure_channel(served.address) as channel,
    ):
        stub = trainer_pb2_grpc.TrainerServiceStub(channel)
        while token or not seen:
            page = stub.ListTrainings(trainer_pb2.ListTrainingsRequest(page_size=1000, page_token=token))
            seen += [training.pair_id for training in page.trainings]
            sizes.append(page.ByteSize())
            token = page.next_page_token
    assert seen == [f"A_{index}" for index in range(29, -1, -1)]
    assert 8 << 10 < max(sizes) <= 16 << 10


class HeldBackend(HookedBackend):
    """A backend whose `get` waits until it is released."""

    def __init__(self, replica: Replica) -> None:
        super().__init__(replica.backend)
        self.asked, self.held, self.released = Counter[str](), threading.Semaphore(0), threading.Event()

    def get(self, name: str) -> Job | None:
        self.asked["get"] += 1
        self.held.release()
        self.released.wait(20)
        return super().get(name)


def test_the_work_of_a_list_ends_when_its_caller_is_gone(store: Store, make_replica: MakeReplica) -> None:
    documents = TrainingStore(store)
    for index in range(60):
        documents.save_attempt(attempt_number(index))
    backend, gone = HeldBackend(make_replica()), threading.Event()
    trainings = Trainings(store, backend, TrainerSettings())
    with ThreadPoolExecutor(8) as pool:
        lists = [pool.submit(trainings.list, "", 0, "", lambda: not gone.is_set()) for _ in range(8)]
        for _ in range(16):
            assert backend.held.acquire(timeout=20)
        gone.set()
        backend.released.set()
        for running in lists:
            with pytest.raises(Cancelled):
                running.result()
    assert backend.asked["get"] == 16, "lists at once have 16 threads together"


def test_a_caller_that_cancels_its_list_is_gone(store: Store, make_replica: MakeReplica, ask: Ask) -> None:
    wanted: list[Callable[[], bool]] = []
    listing, listed = threading.Event(), threading.Event()

    class Slow(Trainings):
        def list(
            self, dataset: str, page_size: int, page_token: str, is_wanted: Callable[[], bool] = lambda: True
        ) -> tuple[list[trainer_pb2.Training], str]:
            wanted.append(is_wanted)
            listing.set()
            listed.wait(20)
            return super().list(dataset, page_size, page_token, is_wanted)

    trainings = Slow(store, make_replica().backend, TrainerSettings())
    with serving(store, trainings) as served, grpc.insecure_channel(served.address) as channel:
        running = trainer_pb2_grpc.TrainerServiceStub(channel).ListTrainings.future(trainer_pb2.ListTrainingsRequest())
        assert listing.wait(20) and wanted[0]()
        running.cancel()
        with suppress(grpc.FutureCancelledError):
            running.result()
        while wanted[0]():
            threading.Event().wait(0.01)
        listed.set()


def test_a_training_is_listed_once_even_if_its_start_was_interrupted(
    store: Store, make_replica: MakeReplica, ask: Ask
) -> None:
    replica = make_replica()
    started = replica.trainings.start(ask())
    attempt = attempt_of(store, started)
    index = TrainingIndex(store)
    index.put(replace(attempt, created=(datetime.now(timezone.utc) + timedelta(hours=1)).isoformat()), ("set",))
    index.put(attempt_number(7), ())  # an entry whose attempt was never saved
    store.put_bytes("trainings/index/all/foreign", b"x")
    for label in ("", "set"):
        (training,), token = replica.trainings.list(label, 0, "")
        assert training.uri == started.uri and not token
    replica.trainings.cancel(started.uri)
    again = replica.trainings.start(ask(dataset="other"))
    for label in ("", "set", "other"):
        (training,), token = replica.trainings.list(label, 0, "")
        assert (training.uri, training.attempt) == (again.uri, again.attempt) and not token
        assert list(training.datasets) == ["other", "set"]


def save_without_index(store: Store, attempt: Attempt) -> None:
    """Save an attempt as a version without the index did."""
    document.put(store, worker_protocol.attempt_key(attempt.prefix), document.encode(attempt))


def test_trainings_that_a_version_without_the_index_began_are_listed_after_some_rounds(
    store: Store, store_settings: StoreSettings, make_replica: MakeReplica
) -> None:
    for index in range(5):
        save_without_index(store, attempt_number(index))
    store.put_bytes(f"{attempt_number(3).prefix}/labels/old.txt", b"old", "text/plain")
    TrainingStore(store).save_attempt(attempt_number(5))
    newer = replace(attempt_number(9), training=attempt_number(5).training, number=2)
    save_without_index(store, newer)
    store.put_bytes(worker_protocol.attempt_key(attempt_number(2).prefix), b"{}")  # damaged
    trainings = make_replica().trainings
    assert trainings.list("", 0, "") == ([], "")
    counted = CountingStore(store_settings)
    repair = IndexRepair(counted, at_once=2)
    rounds = []
    for _ in range(6):
        repair.once()
        rounds.append(len(trainings.list("", 0, "")[0]))
    assert rounds == [2, 3, 5, 5, 5, 5]
    assert pairs(trainings.list("", 0, "")) == ["A_9", "A_4", "A_3", "A_1", "A_0"]
    assert pairs(trainings.list("old", 0, "")) == ["A_3"]
    counted.requests.clear()
    repair.once()
    assert not counted.requests, "it looks at each training once"


def test_a_training_without_an_entry_is_listed_when_it_is_started_again(
    store: Store, make_replica: MakeReplica, ask: Ask
) -> None:
    replica = make_replica()
    started = replica.trainings.start(ask(dataset=""))
    store.delete(store.list("trainings/index/"))
    assert replica.trainings.list("", 0, "") == ([], "")
    assert replica.trainings.start(ask(dataset="")).attempt == 1
    assert [training.uri for training in replica.trainings.list("", 0, "")[0]] == [started.uri]
