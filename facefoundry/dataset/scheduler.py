"""Does the work of one run in threads, with limits on how much is under way at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar, TypeVarTuple

from facefoundry.dataset.concurrency import Once
from facefoundry.dataset.stages import ExtractedSequence

__all__ = ["Limits", "Scheduler"]

T = TypeVar("T")
Args = TypeVarTuple("Args")


@dataclass(frozen=True)
class Limits:
    """How many extractions and conversions a run has under way at once. Calls beyond the services' slots wait.

    Trainings have no limit: each pair's starts when its clips are extracted, and waits for a worker.
    """

    extractions: int = 16
    conversions: int = 16


class Scheduler:
    """Does the work of one run in threads, and remembers the results of sequences.

    Attributes:
        extracted: The extracted sequences, by id.
        transcoded: The sequences that are transcoded, by id.

    Args:
        loop: Runs the coroutines of pairs.
        pool: Threads of stages.
        limits: How much is under way at once.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: ThreadPoolExecutor, limits: Limits) -> None:
        self._loop, self._pool = loop, pool
        self._extracting, self._converting = (
            asyncio.Semaphore(limit) for limit in (limits.extractions, limits.conversions)
        )
        self.extracted, self.transcoded = Once[ExtractedSequence](), Once[None]()

    def begin(self, work: Coroutine[None, None, T]) -> Future[T]:
        """Begin the work of a coroutine."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def extract(self, stage: Callable[[*Args], T], *arguments: *Args) -> T:
        """Call a stage of an extraction, when there is room for it."""
        async with self._extracting:
            return await self._loop.run_in_executor(self._pool, stage, *arguments)

    async def convert(self, stage: Callable[[*Args], T], *arguments: *Args) -> T:
        """Call a stage that uses or fetches results, when there is room for it."""
        async with self._converting:
            return await self._loop.run_in_executor(self._pool, stage, *arguments)
