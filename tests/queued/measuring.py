"""Measures a run whose trainings wait: its threads, its memory, its calls, and what the trainer asks the store."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil
from minio import Minio

from facefoundry.settings import StoreSettings, read
from facefoundry.storage import keys, manifest
from facefoundry.storage.store import Store
from facefoundry.telemetry import CALLS
from services.trainer.settings import TrainerSettings
from services.trainer.trainings import Trainings
from tests.processes import ROOT, environment_of
from tests.services.trainer.queue_backend import QueueBackend
from tests.services.trainer.serving import serving
from tests.waiting import wait_until

T = TypeVar("T")

MAX_THREADS, MAX_BYTES, MAX_CALLS_PER_SECOND = 40, 250 << 20, 5.0


@dataclass(frozen=True)
class Figures:
    """What a run cost while all of its trainings waited.

    Attributes:
        trainings: How many waited.
        start_seconds: How long it took to start all of them.
        seconds: How long was measured after that.
        threads: Most threads of the run's process, those of its libraries included.
        bytes: Its largest resident memory, since its start.
        calls: The calls that it made since its start, by method; a stream counts when it ends.
        calls_per_second: Calls to the trainer a second, while all waited; an open stream counts as one.
        requests_per_second: Requests of the trainer to the store a second, while all waited.
        code: Exit code of the run after it was interrupted.
    """

    trainings: int
    start_seconds: float
    seconds: float
    threads: int
    bytes: int
    calls: dict[str, int]
    calls_per_second: float
    requests_per_second: float
    code: int


class CountingStore(Store):
    """A store that counts its requests."""

    requests = 0

    def request(self, key: str, send: Callable[[Minio], T]) -> T:
        self.requests += 1
        return super().request(key, send)


def measure(settings: StoreSettings, pairs: int, seconds: float, folder: Path) -> Figures:
    """Run pairs until all of their trainings wait, and measure for some seconds.

    Args:
        settings: A store with a bucket.
        pairs: How many pairs.
        seconds: How long to measure.
        folder: Where the run writes.
    """
    clips = next(count for count in itertools.count(2) if count * (count - 1) // 2 >= pairs)
    uris = [_put_extraction(Store(settings), number) for number in range(clips)]
    store, backend = CountingStore(settings), QueueBackend()
    before = _calls()
    with serving(store, Trainings(store, backend, read(TrainerSettings))) as served:
        with _client(settings, served.address, folder, pairs, uris) as client:
            start = time.monotonic()
            wait_until(lambda: len(backend.jobs) == pairs or client.poll() is not None, 900)
            wait_until(lambda: _calls()["StartTraining"] - before["StartTraining"] == pairs)
            started, process = time.monotonic(), psutil.Process(client.pid)
            made, asked, threads = _calls(), store.requests, 0
            while time.monotonic() - started < seconds:
                threads = max(threads, process.num_threads())
                time.sleep(0.1)
            measured = time.monotonic() - started
            ended, requests = _calls() - made, store.requests - asked
            largest = _largest_memory(client.pid)
            client.send_signal(signal.SIGINT)
            code = client.wait(60)
        wait_until(lambda: _calls()["WatchTrainings"] > made["WatchTrainings"])
    return Figures(
        trainings=len(backend.jobs),
        start_seconds=started - start,
        seconds=measured,
        threads=threads,
        bytes=largest,
        calls=dict(_calls() - before),
        calls_per_second=(ended.total() + 1) / measured,
        requests_per_second=requests / measured,
        code=code,
    )


@contextmanager
def _client(
    settings: StoreSettings, address: str, folder: Path, pairs: int, uris: list[str]
) -> Iterator[subprocess.Popen[bytes]]:
    environment = environment_of(settings) | {"FACEFOUNDRY_TRAINER_ADDRESS": address}
    command = [sys.executable, "-m", "tests.queued.client", str(folder / "out"), str(pairs), "queued", *uris]
    with (folder / "events").open("wb") as events, (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=events, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _put_extraction(store: Store, number: int) -> str:
    """Commit an extraction without faces; nobody trains on it."""
    prefix = keys.extraction(keys.digest_of({"number": number}))
    manifest.commit(store, prefix, manifest.Manifest("extraction", {}, {}, (), {}, f"content {number}"))
    return store.uri(prefix)


def _calls() -> Counter[str]:
    """Return how many calls this process has served, by method."""
    found: Counter[str] = Counter()
    for sample in (sample for metric in CALLS.collect() for sample in metric.samples):
        if sample.name.endswith("_total"):
            found[sample.labels["method"].rpartition("/")[2]] += int(sample.value)
    return found


def _largest_memory(pid: int) -> int:
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10
