"""Makes the pages of the list of trainings.

A page costs one listing of the index, and the documents of those trainings that this process does not know yet. It
remembers what cannot change: trainings that succeeded, and attempts whose end is some minutes old. What runs is
remembered for a second, so that many lists at once cost as much as one. A process reads all trainings once after its
start, one after the other, so that the first lists find most of them known.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import NamedTuple

from facefoundry.errors import Cancelled
from facefoundry.rpc import paging
from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2
from services.trainer.entry_reader import EntryReader
from services.trainer.messages import is_final
from services.trainer.settings import TrainerSettings
from services.trainer.training_index import Entry
from services.trainer.training_store import TrainingStore
from services.trainer.worker_protocol import LOST, Attempt

__all__ = ["TrainingList"]

_DEFAULT_SIZE, _MAX_SIZE = 100, 1000
_THREADS = 16
_REMEMBERED = 20_000
_TOKEN_BYTES = 1000
_FRAME_BYTES = 8  # tag and length of a row
_LISTED = 1000  # keys that a store lists by one request


class _Row(NamedTuple):
    version: str
    training: trainer_pb2.Training
    until: float


class TrainingList:
    """Makes the pages of the list of trainings. Threads may share it.

    Args:
        store: The object store.
        settings: Settings of the trainer; `poll_seconds`, `stalled_seconds` and `max_message_bytes` are used.
        describe: Derives the state of a training from its newest attempt.
        clock: Returns a monotonic time, seconds.
    """

    def __init__(
        self,
        store: Store,
        settings: TrainerSettings,
        describe: Callable[[Attempt], trainer_pb2.Training],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._documents = TrainingStore(store)
        self._settings = settings
        self._reader = EntryReader(store, describe)
        self._clock = clock
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="list")
        self._rows: OrderedDict[str, _Row] = OrderedDict()
        self._lock = threading.Lock()

    def page(
        self, label: str, size: int, token: str, is_wanted: Callable[[], bool] = lambda: True
    ) -> tuple[list[trainer_pb2.Training], str]:
        """Return a page of trainings, newest first, and the token of the next page.

        A training of which a document is damaged is in STATE_DAMAGED; its failure names the document.

        Args:
            label: Label of the trainings; empty for all trainings.
            size: Largest number of trainings; 0 means 100, the maximum is 1000. The page has fewer if it would have
                more bytes than a response may have.
            token: Token of this page; empty for the first page.
            is_wanted: Whether the caller still waits for the page.

        Raises:
            InvalidInput: the token is not from an earlier page of this list (PAGE_TOKEN).
            Cancelled: the caller does not wait any more.
        """
        after = paging.read_token(label, token) or ""
        size = min(size or _DEFAULT_SIZE, _MAX_SIZE)
        room = self._settings.max_message_bytes - _TOKEN_BYTES - len(label)
        page: list[trainer_pb2.Training] = []
        while True:
            wanted = min(size - len(page), _LISTED - 1)
            found = self._documents.index.page(label, after, wanted + 1)
            entries = found[:wanted]
            rows = self._pool.map(lambda entry: self._row(entry, is_wanted), entries)
            for entry, training in zip(entries, rows, strict=True):
                if training is not None:
                    room -= training.ByteSize() + _FRAME_BYTES
                    if page and room < 0:
                        return page, paging.make_token(label, after)
                    page.append(training)
                after = entry.name
            if len(found) <= wanted:
                return page, ""
            if len(page) == size:
                return page, paging.make_token(label, after)

    def read_ahead(self, stopping: threading.Event) -> None:
        """Read the newest trainings, as many as are remembered, so that pages need not; end when an event is set.

        They are read one at a time, by about four requests each, so that calls and the store are hardly delayed.

        Raises:
            Unavailable: the store does not answer. Pages then read the trainings that are left.
        """
        after = ""
        for _ in range(_REMEMBERED // _LISTED):
            entries = self._documents.index.page("", after, _LISTED)
            for entry in entries:
                if stopping.is_set():
                    return
                self._row(entry, lambda: True)
            if len(entries) < _LISTED:
                return
            after = entries[-1].name

    def forget(self, prefix: str) -> None:
        """Forget a training, because it is about to change."""
        with self._lock:
            self._rows.pop(prefix, None)

    def _row(self, entry: Entry, is_wanted: Callable[[], bool]) -> trainer_pb2.Training | None:
        """Return the training of an entry; None if the entry is not that of its newest attempt."""
        if not is_wanted():
            raise Cancelled("The caller does not wait for the list any more.")
        if entry.is_skipped:
            return None
        with self._lock:
            known = self._rows.get(entry.prefix)
            if known is not None and known.version == entry.version and self._clock() < known.until:
                self._rows.move_to_end(entry.prefix)
                return known.training
        found = self._reader.read(entry)
        if found is None:
            return None
        row = _Row(entry.version, found.training, self._clock() + self._lifetime(found.training))
        with self._lock:
            self._rows[entry.prefix] = row
            self._rows.move_to_end(entry.prefix)
            if len(self._rows) > _REMEMBERED:
                self._rows.popitem(last=False)
        return found.training

    def _lifetime(self, training: trainer_pb2.Training) -> float:
        """Return for how many seconds a training is remembered."""
        if training.failure.reason == LOST:
            return self._settings.stalled_seconds
        return float("inf") if is_final(training, datetime.now(timezone.utc)) else self._settings.poll_seconds
