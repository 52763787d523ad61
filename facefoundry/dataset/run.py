"""Runs all stages of all pairs of a dataset. This module decides about order, concurrency and failures.

Pairs are independent: if a pair fails, its reason is recorded and the others continue. Each pair is a coroutine, so
thousands wait for their trainings without threads, while the clips of others are extracted. The services reuse the
results in the store, so running the same command again continues a stopped run.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from facefoundry.dataset.concurrency import Once, both, event_loop
from facefoundry.dataset.plan import Clip, Pair
from facefoundry.dataset.progress import Event, OnEvent
from facefoundry.dataset.record import Failure, FakeRecord, PairRecord
from facefoundry.dataset.recorder import RunRecorder
from facefoundry.dataset.stages import ExtractedSequence, Stages
from facefoundry.errors import Cancelled, FaceFoundryError, Unavailable, Unusable
from facefoundry.v1 import common_pb2, extractor_pb2

__all__ = ["DatasetRun", "Limits"]

T = TypeVar("T")
Args = TypeVarTuple("Args")

_POLL_SECONDS = 0.5
_THREADS = 24  # of extractions and conversions together
_STARTS = 4  # of trainings at once, in threads of their own


@dataclass(frozen=True)
class Limits:
    """How many extractions and conversions a run has under way at once. Calls beyond the services' slots wait.

    Trainings have no limit: each pair's starts when its clips are extracted, and waits for a worker.
    """

    extractions: int = 16
    conversions: int = 16


@dataclass
class PairTask:
    """The work on one pair.

    Attributes:
        pair: The pair.
        record: The record of the pair.
        model: Folder of an existing model; None to train one.
        stage: The stage that runs now.
    """

    pair: Pair
    record: PairRecord
    model: Path | None
    stage: str = ""


class DatasetRun:
    """Runs the stages of pairs of clips.

    Args:
        stages: Does the work of each stage.
        recorder: Keeps the run record.
        on_event: Called with each event, from many threads.
        convert: Whether to make the fakes of each pair, not only the model.
        compare: Whether to measure whose face each fake shows.
        limits: How much runs at once.

    Attributes:
        had_outage: Whether a pair failed because a service or the store did not answer. Another run may then succeed.
    """

    def __init__(
        self,
        stages: Stages,
        recorder: RunRecorder,
        on_event: OnEvent,
        *,
        convert: bool = True,
        compare: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self._stages, self._recorder, self._on_event = stages, recorder, on_event
        self._with_fakes, self._with_comparison = convert, compare
        self._limits = limits or Limits()
        self.had_outage = False

    def run(
        self, pairs: Sequence[Pair], clips: Mapping[str, Clip], given: Mapping[Pair, Path] | None = None
    ) -> list[PairRecord]:
        """Run all pairs.

        Args:
            pairs: The pairs, in order.
            clips: The clips of the pairs, by id.
            given: Folders of existing models, by pair. The models of all other pairs are trained.

        Returns:
            The records of all pairs, including those that failed.

        Raises:
            KeyboardInterrupt: after all threads have stopped and the record was saved.
        """
        records = self._recorder.begin(pairs)
        given = given or {}
        tasks = [PairTask(pair, record, given.get(pair)) for pair, record in zip(pairs, records, strict=True)]
        try:
            with self._scheduler() as scheduler:
                running = {scheduler.begin(self._do_pair(scheduler, task, clips)): task for task in tasks}
                self._wait_for(running)
        except BaseException:
            self._recorder.interrupt()
            raise
        self._recorder.save(always=True)
        return records

    def extract(self, clips: Mapping[str, Clip]) -> dict[str, FaceFoundryError]:
        """Extract clips without pairing them.

        Returns:
            The errors of the clips that failed, by id.
        """
        failed: dict[str, FaceFoundryError] = {}

        async def extract(scheduler: _Scheduler, clip: Clip) -> None:
            try:
                await self._extract(scheduler, clip)
            except Cancelled:
                raise
            except FaceFoundryError as error:
                failed[clip.id] = error
                self._on_event(Event(clip.id, "extract", "failed", message=f"{error.reason}: {error.message}"))

        with self._scheduler() as scheduler:
            for future in [scheduler.begin(extract(scheduler, clip)) for clip in clips.values()]:
                future.result()
        return failed

    def convert_clip(self, clip: Clip, model: Path, pair: Pair, *, swap_model: bool) -> FakeRecord:
        """Make one fake of a clip, with a model on disk.

        Args:
            clip: The target.
            model: Folder of the model.
            pair: The pair of the model.
            swap_model: Whether the clip is side B of the model and gets the face of side A, instead of the reverse.
        """
        source_id, side = (pair.a, common_pb2.SIDE_B) if swap_model else (pair.b, common_pb2.SIDE_A)
        fake = FakeRecord(f"{clip.id}_{source_id}", clip.id, source_id)
        target = self._stages.extract(clip)
        source = ExtractedSequence(source_id, "", extractor_pb2.Extraction())  # only its id is known
        self._stages.convert(fake, self._stages.upload_model(model), side, target, source)
        self._stages.transcode(target)
        return fake

    def _wait_for(self, running: dict[Future[None], PairTask]) -> None:
        """Wait until all pairs have ended, and record how each of them ended."""
        ended: queue.SimpleQueue[Future[None]] = queue.SimpleQueue()
        for future in running:
            future.add_done_callback(ended.put)
        while running:
            try:
                future = ended.get(timeout=_POLL_SECONDS)  # without a timeout, Ctrl-C waits for the next pair
            except queue.Empty:
                self._recorder.save_skipped()
                continue
            self._end_pair(running.pop(future), future.exception())

    def _end_pair(self, task: PairTask, error: BaseException | None) -> None:
        """Record and report how a pair ended."""
        self.had_outage |= isinstance(error, Unavailable)
        if error is None:
            message = "reused from the store" if task.record.reused else ""
        else:
            failure = _failure_of(error, task.stage)
            self._recorder.end(task.record, failure)
            message = f"{failure.reason}: {failure.message}"
        self._on_event(Event(task.pair.id, "pair", task.record.state, message=message))
        self._recorder.save()

    @contextmanager
    def _scheduler(self) -> Iterator[_Scheduler]:
        """Yield what works during the block. After an error, also Ctrl-C, all stages are stopped and waited for."""
        limits = self._limits
        threads = min(_THREADS, limits.extractions + limits.conversions)
        with ThreadPoolExecutor(threads, thread_name_prefix="stage") as pool, event_loop(_STARTS) as loop:
            try:
                yield _Scheduler(loop, pool, limits)
            except BaseException:
                self._stages.stop()
                raise

    async def _do_pair(self, scheduler: _Scheduler, task: PairTask, clips: Mapping[str, Clip]) -> None:
        """Do all stages of one pair, in order."""
        task.stage = "extract"
        a, b = await both(self._extract(scheduler, clips[task.pair.a]), self._extract(scheduler, clips[task.pair.b]))
        if a.extraction.content_digest == b.extraction.content_digest:
            message = f"{a.id} and {b.id} are the same clip under two names. A pair needs two different clips."
            raise Unusable(message, reason="SAME_CLIP")
        task.stage = "train"
        if task.model is None:
            model_uri = await self._stages.train(task.record, a, b)
        else:
            model_uri = await scheduler.convert(self._stages.upload_model, task.model)
        await scheduler.convert(self._stages.fetch_model, task.record, model_uri, task.model)
        await asyncio.to_thread(self._recorder.save)
        if self._with_fakes:
            task.stage = "convert"
            await self._make_fakes(scheduler, task, model_uri, a, b)
        await scheduler.convert(self._stages.finish, task.record)
        await asyncio.to_thread(self._recorder.end, task.record, None)

    async def _make_fakes(
        self, scheduler: _Scheduler, task: PairTask, model_uri: str, a: ExtractedSequence, b: ExtractedSequence
    ) -> None:
        """Make the fakes of both directions of a pair."""
        on_a, on_b = FakeRecord(task.pair.id, a.id, b.id), FakeRecord(task.pair.mirrored, b.id, a.id)
        with self._recorder.lock:
            task.record.fakes += [on_a, on_b]
        await both(
            self._make_fake(scheduler, on_a, model_uri, common_pb2.SIDE_A, a, b),
            self._make_fake(scheduler, on_b, model_uri, common_pb2.SIDE_B, b, a),
        )

    async def _make_fake(
        self,
        scheduler: _Scheduler,
        fake: FakeRecord,
        model_uri: str,
        side: common_pb2.Side.ValueType,
        target: ExtractedSequence,
        source: ExtractedSequence,
    ) -> None:
        """Make a fake, and encode its target at the same compression levels."""
        await scheduler.convert(self._stages.convert, fake, model_uri, side, target, source)
        await self._transcode(scheduler, target)
        if self._with_comparison:
            await scheduler.convert(self._stages.compare, fake, model_uri, side, target, source)
        await asyncio.to_thread(self._recorder.save)

    async def _extract(self, scheduler: _Scheduler, clip: Clip) -> ExtractedSequence:
        """Extract a clip, only once even if it is in several pairs."""

        def extract() -> ExtractedSequence:
            self._recorder.start(clip.id)
            return self._stages.extract(clip)

        return await scheduler.extracted.get(clip.id, lambda: scheduler.extract(extract))

    async def _transcode(self, scheduler: _Scheduler, sequence: ExtractedSequence) -> None:
        """Transcode a sequence, only once even if it is in several pairs."""
        await scheduler.transcoded.get(sequence.id, lambda: scheduler.convert(self._stages.transcode, sequence))


class _Scheduler:
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


def _failure_of(error: BaseException, stage: str) -> Failure:
    if isinstance(error, FaceFoundryError):
        return Failure(stage, error.reason, error.message)
    if isinstance(error, OSError):
        return Failure(
            stage, "FILE", f"Cannot read or write {error.filename or 'a file of the dataset'}: {error.strerror}."
        )
    return Failure(stage, "UNEXPECTED", f"{type(error).__name__}: {error}")
