"""What a server does again and again beside its calls."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable
from concurrent.futures import Executor

from facefoundry.telemetry import logger

__all__ = ["give_back_memory", "repeat"]

_log = logger(__name__)


async def repeat(function: Callable[[], object], seconds: float, threads: Executor) -> None:
    """Run a function in a thread, again and again, until this is cancelled. Its errors are logged, and it goes on.

    Args:
        function: What is to be done.
        seconds: Pause before each time.
        threads: Where it runs.
    """
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(seconds)
        try:
            await loop.run_in_executor(threads, function)
        except Exception:
            _log.exception("upkeep_failed")


def give_back_memory() -> None:
    """Give memory that calls and connections left free back to the operating system; glibc keeps it otherwise."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
