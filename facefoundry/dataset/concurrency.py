"""Helpers for coroutines: an event loop in a thread, values that are computed once, and two at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

from facefoundry.errors import Unavailable

__all__ = ["Once", "both", "event_loop"]

T = TypeVar("T")


@contextmanager
def event_loop(threads: int) -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop in a thread during the block. At its end, tasks that still run are cancelled.

    Args:
        threads: Most threads of `asyncio.to_thread`. At the end of the block they are waited for.
    """
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        loop.set_default_executor(ThreadPoolExecutor(threads, thread_name_prefix="call"))
        started.set_result((loop, stopping))
        await stopping.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="run")
    thread.start()
    loop, stopping = started.result()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join()


class Once(Generic[T]):
    """Computes the value of each key once. All coroutines get the same value, or the error that the computation raised.

    After the error `Unavailable`, the next call computes the value again.
    """

    def __init__(self) -> None:
        self._computing: dict[str, asyncio.Future[T]] = {}

    async def get(self, key: str, compute: Callable[[], Awaitable[T]]) -> T:
        """Return the value of a key. The first call computes it; other calls wait for the result.

        Args:
            key: The key.
            compute: Returns the value of the key.
        """
        computing = self._computing.get(key)
        if computing is None or isinstance(_error_of(computing), Unavailable):
            computing = self._computing[key] = asyncio.ensure_future(compute())
            computing.add_done_callback(_error_of)  # so that asyncio does not report it if nobody waits any more
        return await asyncio.shield(computing)


async def both(first: Awaitable[T], second: Awaitable[T]) -> tuple[T, T]:
    """Wait for two results at the same time. If one is an error, wait for the other before raising it."""
    results = await asyncio.gather(first, second, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results[0], results[1]  # type: ignore[return-value]  # no errors


def _error_of(future: asyncio.Future[T]) -> BaseException | None:
    return future.exception() if future.done() and not future.cancelled() else None
