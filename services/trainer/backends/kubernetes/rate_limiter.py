"""Limits the rate of requests to the API server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["RateLimiter"]


class RateLimiter:
    """Delays callers so that at most a given number per second proceed, evenly spaced.

    A caller may proceed while earlier callers are still busy.

    Args:
        per_second: Largest number of callers that proceed in a second.
        clock: Returns a monotonic time, seconds.
        sleep: Waits for the given number of seconds.
    """

    def __init__(
        self,
        per_second: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._interval = 1.0 / per_second
        self._clock = clock
        self._sleep = sleep
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait until the caller may proceed."""
        with self._lock:
            now = self._clock()
            at = max(self._next, now)
            self._next = at + self._interval
        self._sleep(at - now)
