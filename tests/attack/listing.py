"""A long list of trainings, and what one page of it costs the trainer."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import psutil

from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2, trainer_pb2_grpc
from services.trainer.training_store import TrainingStore
from services.trainer.worker_protocol import Attempt, Outcome

__all__ = ["PAGE", "Pages", "fill", "walk"]

PAGE = 100
_START = datetime(2020, 1, 1, tzinfo=timezone.utc)
_THREADS = 16


@dataclass(frozen=True)
class Pages:
    """What pages cost.

    Attributes:
        trainings: How many trainings they list together.
        wall: Median time from request to response, seconds.
        cpu: Mean CPU time of the services for a page, seconds.
        slowest: Longest time from request to response, seconds.
    """

    trainings: int
    wall: float
    cpu: float
    slowest: float

    def __str__(self) -> str:
        """Return the figures as words."""
        return (
            f"{self.trainings:,} trainings, a page of {PAGE}: median {self.wall * 1000:.0f} ms, "
            f"CPU {self.cpu * 1000:.0f} ms, slowest {self.slowest * 1000:.0f} ms"
        )


def fill(store: Store, numbers: Iterable[int]) -> None:
    """Save trainings that ended long ago, as a trainer does.

    Args:
        store: The bucket of the services.
        numbers: A number for each training, which no other one has.
    """
    documents = TrainingStore(store)

    def save(number: int) -> None:
        created, ended = (_START + timedelta(seconds=number + later) for later in (0, 1))
        pair = f"{number:05d}_{number + 1:05d}"
        attempt = Attempt(f"{number:040x}", 1, pair, "extractions/a", "extractions/b", {}, 6, created.isoformat())
        documents.save_attempt(attempt)
        documents.save_outcome(attempt, Outcome(1, "CANCELLED", ended=ended.isoformat()))

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(save, numbers))


def walk(stub: trainer_pb2_grpc.TrainerServiceStub, process: psutil.Process) -> Pages:
    """List all trainings, page by page.

    Args:
        stub: The trainer.
        process: The process of the services.
    """
    token, found, seconds = "", 0, list[float]()
    before = _cpu(process)
    while token or not seconds:
        begin = time.monotonic()
        request = trainer_pb2.ListTrainingsRequest(page_size=PAGE, page_token=token)
        page = stub.ListTrainings(request, timeout=60)
        seconds.append(time.monotonic() - begin)
        found, token = found + len(page.trainings), page.next_page_token
    return Pages(found, statistics.median(seconds), (_cpu(process) - before) / len(seconds), max(seconds))


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
