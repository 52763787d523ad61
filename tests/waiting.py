"""Waiting for what another thread, process or server does, where no event tells of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T],
    seconds: float = 120.0,
    *,
    every: float = 0.02,
    failure: Callable[[], object] = lambda: "the condition never held",
) -> T:
    """Return the first true value of a condition.

    Args:
        condition: Called until its value is true.
        seconds: How long to wait before the test fails.
        every: Seconds between two calls.
        failure: Makes the message of the failed test.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, failure()
        time.sleep(every)
    return value
