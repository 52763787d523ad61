"""Decides whether and when the client repeats a failed call."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from facefoundry.errors import Busy, Cancelled, FaceFoundryError, Unavailable

__all__ = ["Retries", "counted_retries"]

_MIN_WAIT_SECONDS, _MAX_WAIT_SECONDS = 0.2, 30.0


_counter: ContextVar[list[int] | None] = ContextVar("counter", default=None)


@contextmanager
def counted_retries() -> Iterator[Callable[[], int]]:
    """Count the tries of this thread or task that failed and are repeated. Waits for a free slot are none.

    Yields:
        A function that returns their number since the block began.
    """
    count = [0]
    token = _counter.set(count)
    try:
        yield lambda: count[0]
    finally:
        _counter.reset(token)


class Retries:
    """The retries of one call. They end when the call makes no progress for `seconds`; waiting for a slot has no limit.

    Args:
        seconds: How long to repeat a call that makes no progress.
        wait: Waits for the given seconds, or until the client is stopped; returns whether the client is stopped.
        clock: Monotonic time in seconds.
    """

    def __init__(
        self, seconds: float, wait: Callable[[float], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds, self._wait, self._clock = seconds, wait, clock
        self.progressed()

    def progressed(self) -> None:
        """Restart the time limit and the growing waits, because the call made progress."""
        self._next_wait = _MIN_WAIT_SECONDS
        self._deadline = self._clock() + self._seconds

    def wait_after(self, error: FaceFoundryError) -> None:
        """Wait before the next try, or raise the error if the call must not be repeated.

        Args:
            error: The error of the failed call.

        Raises:
            Cancelled: the client was stopped.
            FaceFoundryError: `error` itself, if it is neither Busy nor Unavailable, or the time limit is over.
        """
        if self._wait(0.0):
            raise Cancelled("The client was stopped.") from error
        if isinstance(error, Busy):
            self._deadline = self._clock() + self._seconds
        elif not isinstance(error, Unavailable) or self._clock() > self._deadline:
            raise error
        elif (count := _counter.get()) is not None:
            count[0] += 1
        longest = min(error.retry_after_seconds or _MAX_WAIT_SECONDS, _MAX_WAIT_SECONDS)
        self._wait(min(self._next_wait, longest) * random.uniform(0.7, 1.3))
        self._next_wait *= 2
