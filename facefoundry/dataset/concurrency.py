"""Helpers for threads: compute a value once for all threads, or call two functions at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from facefoundry.errors import Unavailable

__all__ = ["Once", "call_both"]

T = TypeVar("T")


class Once(Generic[T]):
    """Computes the value of each key once. All threads get the same value, or the error that the computation raised.

    After the error `Unavailable`, the next call computes the value again.
    """

    def __init__(self) -> None:
        self._futures: dict[str, Future[T]] = {}
        self._lock = threading.Lock()

    def get(self, key: str, compute: Callable[[], T]) -> T:
        """Return the value of a key. The first call computes it; other calls wait for the result.

        Args:
            key: The key.
            compute: Returns the value of the key.
        """
        with self._lock:
            is_first = key not in self._futures
            future = self._futures.setdefault(key, Future())
        if is_first:
            try:
                future.set_result(compute())
            except BaseException as error:
                if isinstance(error, Unavailable):
                    with self._lock:
                        del self._futures[key]
                future.set_exception(error)
                raise
        return future.result()


def call_both(first: Callable[[], T], second: Callable[[], T]) -> tuple[T, T]:
    """Call two functions at the same time and return both results. If one raises an error, wait for the other first."""
    with ThreadPoolExecutor(2, thread_name_prefix="side") as pool:
        futures = pool.submit(first), pool.submit(second)
    return futures[0].result(), futures[1].result()
