"""The event loop of this process's gRPC servers. It runs in a thread of its own, as long as the process."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["await_in_loop", "event_loop"]

T = TypeVar("T")


@functools.cache
def event_loop() -> asyncio.AbstractEventLoop:
    """Return the loop. All servers share it: gRPC's events go wrong with several loops in a process."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="servers", daemon=True).start()
    return loop


def await_in_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in the loop, and return its result; from another thread than the loop's."""
    return asyncio.run_coroutine_threadsafe(coroutine, event_loop()).result()
