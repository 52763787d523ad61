"""The runs whose records are in a bucket, and the watch of each that somebody looks at."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
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
_MAX_WATCHES: Final = 16
_PREFIX: Final = "runs/"


class Listing:
    """Lists the runs of a bucket, and opens them. Many threads may use it at once.

    Args:
        store: The object store, on the bucket of the services.
        clock: Monotonic time in seconds.
        open_run: Opens the run of a name, and raises what `watch` does; by default from the bucket.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float] = time.monotonic,
        open_run: Callable[[str], Watch] | None = None,
    ) -> None:
        self._store, self._clock, self._open = store, clock, open_run or self._open_run
        self._lock, self._loading = threading.Lock(), threading.Lock()  # nobody reads from the store with the first
        self._runs: dict[str, tuple[str, ListedRun]] = {}
        self._read = -_SECONDS
        self._watches = OrderedDict[str, tuple[float, Watch]]()
        self._opening: dict[str, threading.Lock] = {}

    def runs(self) -> list[ListedRun]:
        """Return the runs, the newest first."""
        with self._loading:
            if self._clock() - self._read >= _SECONDS:
                self._load()
                self._read = self._clock()
            return sorted((run for _, run in self._runs.values()), key=lambda run: -run.saved)

    def watch(self, name: str) -> Watch:
        """Return the watch of a run. It is opened at the first time, and the others do not wait for that.

        Raises:
            NotFound: there is no such run, and there cannot be one of this name.
            InvalidInput: the record has another format or a wrong field.
        """
        with self._lock:
            opening = self._opening.setdefault(name, threading.Lock())
        try:
            with opening:
                return self._kept(name) or self._keep(name, self._open(name))
        finally:
            with self._lock:
                self._opening.pop(name, None)

    def refresh(self) -> None:
        """Read the records of the runs that somebody looked at lately, and forget the others."""
        with self._lock:
            now = self._clock()
            for name in [name for name, (seen, _) in self._watches.items() if now - seen >= _KEPT_SECONDS]:
                del self._watches[name]
            watches = [watch for _, watch in self._watches.values()]
        for watch in watches:
            watch.read()

    def _kept(self, name: str) -> Watch | None:
        with self._lock:
            return self._put(name, self._watches[name][1]) if name in self._watches else None

    def _keep(self, name: str, watch: Watch) -> Watch:
        with self._lock:
            return self._put(name, watch)

    def _put(self, name: str, watch: Watch) -> Watch:
        self._watches[name] = self._clock(), watch
        self._watches.move_to_end(name)
        if len(self._watches) > _MAX_WATCHES:
            self._watches.popitem(last=False)
        return watch

    def _open_run(self, name: str) -> Watch:
        place = DatasetPlace(self._store.bucket, _dataset(name))
        return Watch(BucketSource(self._store, place, name), in_list=True)

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
