"""The runs whose records are in a bucket, and the watch of each that somebody looks at."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from facefoundry.dataset.run_folder import RUN_FILE, parse_run
from facefoundry.dataset.stored_dataset import DatasetPlace
from facefoundry.errors import FaceFoundryError, InvalidInput, NotFound
from facefoundry.report.runs import ListedRun
from facefoundry.storage import keys
from facefoundry.storage.store import Store
from facefoundry.webpage.bucket_source import MAX_RECORD_BYTES, BucketSource
from facefoundry.webpage.watch import Watch

__all__ = ["Listing"]

_THREADS: Final = 16
_SECONDS: Final = 10.0
_KEPT_SECONDS: Final = 600.0
_PREFIX: Final = "runs/"


class Listing:
    """Lists the runs of a bucket, and opens them. Many threads may use it at once.

    Args:
        store: The object store, on the bucket of the services.
        clock: Monotonic time in seconds.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock, self._lock = store, clock, threading.Lock()
        self._runs: dict[str, tuple[str, ListedRun]] = {}
        self._read = -_SECONDS
        self._watches: dict[str, tuple[float, Watch]] = {}

    def runs(self) -> list[ListedRun]:
        """Return the runs, the newest first."""
        with self._lock:
            if self._clock() - self._read >= _SECONDS:
                self._load()
                self._read = self._clock()
            return sorted((run for _, run in self._runs.values()), key=lambda run: -run.saved)

    def watch(self, name: str) -> Watch:
        """Return the watch of a run, which is read again if it is old.

        Raises:
            NotFound: there is no such run, and there cannot be one of this name.
            InvalidInput: the record has another format or a wrong field.
        """
        with self._lock:
            now = self._clock()
            self._watches = {key: kept for key, kept in self._watches.items() if now - kept[0] < _KEPT_SECONDS}
            kept = self._watches.get(name)
            if kept is None:
                place = DatasetPlace(self._store.bucket, _dataset(name))
                kept = now, Watch(BucketSource(self._store, place, name), in_list=True)
            self._watches[name] = now, kept[1]
            return kept[1]

    def refresh(self) -> None:
        """Read the records of the runs that somebody looked at lately."""
        with self._lock:
            watches = [watch for _, watch in self._watches.values()]
        for watch in watches:
            watch.read()

    def _load(self) -> None:
        folders = [found.key for found in self._store.objects(_PREFIX, folder=True) if found.key.endswith("/")]
        names = [folder.removeprefix(_PREFIX).rstrip("/") for folder in folders]
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="runs") as pool:
            found = dict(zip(names, pool.map(self._load_run, names), strict=True))
        self._runs = {name: entry for name, entry in found.items() if entry is not None}

    def _load_run(self, name: str) -> tuple[str, ListedRun] | None:
        key = f"{_PREFIX}{name}/{RUN_FILE}"
        try:
            stored = self._store.stat(key)
            if name in self._runs and self._runs[name][0] == stored.etag:
                return self._runs[name]
            data = self._store.get_with_metadata(key, MAX_RECORD_BYTES)[0]
        except NotFound:
            return None
        saved = stored.modified.timestamp() if stored.modified else 0.0
        try:
            return stored.etag, ListedRun(name, parse_run(data, key), saved)
        except FaceFoundryError as error:
            return stored.etag, ListedRun(name, None, saved, error.message)


def _dataset(name: str) -> str:
    """Return the prefix of the dataset that a run of this name makes."""
    try:
        return keys.dataset(name)
    except InvalidInput as error:
        raise NotFound(f"There is no run of the name {name!r}.", reason="NO_RUN", resource=name) from error
