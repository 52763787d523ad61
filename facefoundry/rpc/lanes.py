"""Lanes: the threads for each kind of call, so that no kind can take those of another."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from facefoundry.errors import Busy

__all__ = ["Lane", "Lanes"]

_RETRY_SECONDS = 5.0
_QUICK_THREADS, _QUICK_CALLS = 32, 1024
_INFO_THREADS, _INFO_CALLS = 4, 64
_WATCH_THREADS = 32


class Lane:
    """Threads for calls of one kind.

    Args:
        service: Name of the service, for messages.
        name: Name of the lane; its threads are named after it.
        threads: Most threads.
        calls: Most calls at once; more are refused. Calls that pause hold no thread.
        calls_per_host: Most calls of one host at once.
    """

    def __init__(self, service: str, name: str, threads: int, calls: int, calls_per_host: int | None = None) -> None:
        self._service, self._calls = service, calls
        self._calls_per_host = calls if calls_per_host is None else calls_per_host
        self._ids: list[int] = []
        self.threads = ThreadPoolExecutor(threads, thread_name_prefix=f"call-{name}", initializer=self._started)
        self._lock = threading.Lock()
        self._by_host: Counter[str] = Counter()

    def _started(self) -> None:
        self._ids.append(threading.get_ident())

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of the threads that were started."""
        return tuple(self._ids)

    @contextmanager
    def place(self, peer: str) -> Iterator[None]:
        """Hold a place during the block.

        Args:
            peer: Address of the caller, with its port.

        Raises:
            Busy: there are as many calls as the lane takes, of all hosts or of this one (TOO_MANY_CALLS).
        """
        host = peer.rpartition(":")[0]
        with self._lock:
            if self._by_host.total() >= self._calls or self._by_host[host] >= self._calls_per_host:
                raise self._full()
            self._by_host[host] += 1
        try:
            yield
        finally:
            with self._lock:
                self._by_host[host] -= 1
                if not self._by_host[host]:
                    del self._by_host[host]

    def _full(self) -> Busy:
        return Busy(
            f"This {self._service} already serves {self._calls} calls of this kind, its maximum, or "
            f"{self._calls_per_host} of this host. Call another replica or retry later.",
            reason="TOO_MANY_CALLS",
            retry_after_seconds=_RETRY_SECONDS * random.uniform(0.5, 1.5),
        )


class Lanes:
    """The lanes of a service.

    Attributes:
        quick: For calls that read or write a few objects of the store, and that must not wait for others.
        info: For GetInfo, which waits for a store that does not answer.
        watch: For calls that send what changes, and pause in between.
        work: For all others.
        ended: Threads for what must be done when a call ends.

    Args:
        service: Name of the service.
        calls: How many calls of the lane `work` are served at once, and how many watches of one host.
    """

    def __init__(self, service: str, calls: int) -> None:
        self.quick = Lane(service, "quick", _QUICK_THREADS, _QUICK_CALLS)
        self.info = Lane(service, "info", _INFO_THREADS, _INFO_CALLS)
        self.watch = Lane(service, "watch", _WATCH_THREADS, 2 * calls, calls_per_host=calls)
        self.work = Lane(service, "work", calls, calls)
        self.ended = ThreadPoolExecutor(_INFO_THREADS, thread_name_prefix="call-ended")
        self._of_method = {
            "GetTraining": self.quick,
            "CancelTraining": self.quick,
            "GetInfo": self.info,
            "WatchTraining": self.watch,
            "WatchTrainings": self.watch,
        }

    def of(self, method: str) -> Lane:
        """Return the lane of a method, which is named as in a URL: `/<service>/<method>`."""
        return self._of_method.get(method.rpartition("/")[2], self.work)

    def close(self) -> None:
        """Start no more calls; those that run are not waited for."""
        for threads in (self.quick.threads, self.info.threads, self.watch.threads, self.work.threads, self.ended):
            threads.shutdown(wait=False)
