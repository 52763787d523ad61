"""Runs all stages of all pairs of a dataset. This module decides about order, concurrency and failures.

Pairs are independent: if a pair fails, its reason is recorded and the others continue. Each pair is a coroutine, so
thousands wait for their trainings without threads, while the clips of others are extracted. The services reuse the
results in the store, so running the same command again continues a stopped run.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from facefoundry.dataset import verdict
from facefoundry.dataset.concurrency import both, event_loop
from facefoundry.dataset.gates import DEFAULT_GATES, Gate, actions
from facefoundry.dataset.plan import Clip, Pair
from facefoundry.dataset.progress import Event, OnEvent
from facefoundry.dataset.record import Failure, FakeRecord, PairRecord, Retraining, TrainingRecord
from facefoundry.dataset.recorder import RunRecorder
from facefoundry.dataset.scheduler import Limits, Scheduler
from facefoundry.dataset.stages import ExtractedSequence, Stages
from facefoundry.errors import Cancelled, FaceFoundryError, Unavailable, Unusable
from facefoundry.v1 import common_pb2, extractor_pb2

__all__ = ["DatasetRun"]

_POLL_SECONDS = 0.5
_THREADS = 24  # of extractions and conversions together
_STARTS = 4  # of trainings at once, in threads of their own


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
        gates: The bars that fakes are held to.
        limits: How much runs at once.
        version: Tells the version of the dataset, once all pairs have ended.

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
        gates: Sequence[Gate] = DEFAULT_GATES,
        limits: Limits | None = None,
        version: Callable[[], str] = lambda: "",
    ) -> None:
        self._stages, self._recorder, self._on_event = stages, recorder, on_event
        self._version = version
        self._with_fakes, self._with_comparison = convert, compare
        self._gates, self._limits = gates, limits or Limits()
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
        for record in records:
            record.rights = {clip: clips[clip].rights for clip in (record.a, record.b)}
        tasks = [PairTask(pair, record, given.get(pair)) for pair, record in zip(pairs, records, strict=True)]
        try:
            with self._scheduler() as scheduler:
                running = {scheduler.begin(self._do_pair(scheduler, task, clips)): task for task in tasks}
                self._wait_for(running)
        except BaseException:
            self._recorder.interrupt()
            raise
        self._record_version()
        self._recorder.save(always=True)
        return records

    def extract(self, clips: Mapping[str, Clip]) -> dict[str, FaceFoundryError]:
        """Extract clips without pairing them.

        Returns:
            The errors of the clips that failed, by id.
        """
        failed: dict[str, FaceFoundryError] = {}

        async def extract(scheduler: Scheduler, clip: Clip) -> None:
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
        self._stages.take(fake, source)
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

    def _record_version(self) -> None:
        """Record the version of the dataset. A file that cannot be read now costs the version, but not the run."""
        record = self._recorder.record
        try:
            version = self._version()
        except FaceFoundryError as error:
            self._on_event(Event(record.name, "version", "failed", message=str(error)))
            return
        with self._recorder.lock:
            record.dataset_version = version

    @contextmanager
    def _scheduler(self) -> Iterator[Scheduler]:
        """Yield what works during the block. After an error, also Ctrl-C, all stages are stopped and waited for."""
        limits = self._limits
        threads = min(_THREADS, limits.extractions + limits.conversions)
        with ThreadPoolExecutor(threads, thread_name_prefix="stage") as pool, event_loop(_STARTS) as loop:
            try:
                yield Scheduler(loop, pool, limits)
            except BaseException:
                self._stages.stop()
                raise

    async def _do_pair(self, scheduler: Scheduler, task: PairTask, clips: Mapping[str, Clip]) -> None:
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
        # A model that another one may replace is fetched once that is known.
        may_retrain = self._with_fakes and task.model is None and any(gate.action == "retrain" for gate in self._gates)
        if not may_retrain:
            await self._fetch_model(scheduler, task, model_uri)
        if self._with_fakes:
            await self._measure_fakes(scheduler, task, model_uri, a, b)
            if may_retrain and "retrain" in actions(gate for fake in task.record.fakes for gate in fake.failed):
                model_uri = await self._retrain(scheduler, task, model_uri, a, b)
        if may_retrain:
            await self._fetch_model(scheduler, task, model_uri)
        if self._with_fakes:
            on_a, on_b = task.record.fakes
            await both(self._take(scheduler, on_a, a, b), self._take(scheduler, on_b, b, a))
        await scheduler.convert(self._stages.finish, task.record)
        await asyncio.to_thread(self._recorder.end, task.record, None)

    async def _fetch_model(self, scheduler: Scheduler, task: PairTask, model_uri: str) -> None:
        """Take the model of a pair."""
        await scheduler.convert(self._stages.fetch_model, task.record, model_uri, task.model)
        await asyncio.to_thread(self._recorder.save)

    async def _measure_fakes(
        self, scheduler: Scheduler, task: PairTask, model_uri: str, a: ExtractedSequence, b: ExtractedSequence
    ) -> None:
        """Make and judge the fakes of both directions of a pair, without taking their files."""
        task.stage = "convert"
        on_a, on_b = FakeRecord(task.pair.id, a.id, b.id), FakeRecord(task.pair.mirrored, b.id, a.id)
        with self._recorder.lock:
            task.record.fakes = [on_a, on_b]
        await both(
            self._measure(scheduler, on_a, model_uri, common_pb2.SIDE_A, a, b),
            self._measure(scheduler, on_b, model_uri, common_pb2.SIDE_B, b, a),
        )

    async def _measure(
        self,
        scheduler: Scheduler,
        fake: FakeRecord,
        model_uri: str,
        side: common_pb2.Side.ValueType,
        target: ExtractedSequence,
        source: ExtractedSequence,
    ) -> None:
        """Make and judge a fake."""
        await scheduler.convert(self._stages.convert, fake, model_uri, side, target, source)
        if self._with_comparison:
            await scheduler.convert(self._stages.compare, fake, model_uri, side, target, source)
        with self._recorder.lock:
            verdict.judge(fake, self._gates)
        await asyncio.to_thread(self._recorder.save)

    async def _retrain(
        self, scheduler: Scheduler, task: PairTask, model_uri: str, a: ExtractedSequence, b: ExtractedSequence
    ) -> str:
        """Train a pair once more with another seed, and keep the better of both trainings with its fakes.

        The first stays if the second fails for any reason but an outage, after which another run goes on.

        Returns:
            The URI of the model that is kept.
        """
        record, first_uri = task.record, model_uri
        with self._recorder.lock:
            record.training.model_uri = first_uri
            first = record.training, record.fakes
            record.training, record.retraining = TrainingRecord(), Retraining(training=first[0], fakes=first[1])
            retraining = record.retraining
        task.stage = "train"
        try:
            model_uri = await self._stages.train(record, a, b, again=True)
            record.training.model_uri = model_uri
            await self._measure_fakes(scheduler, task, model_uri, a, b)
            retraining.replaced = verdict.is_better(record.fakes, first[1], self._gates)
        except (FaceFoundryError, OSError) as error:
            self._stages.raise_if_stopped()
            retraining.failure = _failure_of(error, task.stage)
            if isinstance(error, Unavailable):
                raise
        finally:
            with self._recorder.lock:
                if not retraining.replaced:
                    retraining.training, retraining.fakes = record.training, record.fakes
                    record.training, record.fakes = first
                for fake in retraining.fakes:
                    fake.labels = []
        return model_uri if retraining.replaced else first_uri

    async def _take(
        self, scheduler: Scheduler, fake: FakeRecord, target: ExtractedSequence, source: ExtractedSequence
    ) -> None:
        """Take the files of a fake unless a gate drops it, and encode its target at the same compression levels."""
        with self._recorder.lock:
            fake.dropped = "drop" in actions(fake.failed)
        await scheduler.convert(self._stages.take, fake, source)
        await scheduler.transcoded.get(target.id, lambda: scheduler.convert(self._stages.transcode, target))
        await asyncio.to_thread(self._recorder.save)

    async def _extract(self, scheduler: Scheduler, clip: Clip) -> ExtractedSequence:
        """Extract a clip, only once even if it is in several pairs."""

        def extract() -> ExtractedSequence:
            self._recorder.start(clip.id)
            return self._stages.extract(clip)

        return await scheduler.extracted.get(clip.id, lambda: scheduler.extract(extract))


def _failure_of(error: BaseException, stage: str) -> Failure:
    if isinstance(error, FaceFoundryError):
        return Failure(stage, error.reason, error.message)
    if isinstance(error, OSError):
        return Failure(
            stage, "FILE", f"Cannot read or write {error.filename or 'a file of the dataset'}: {error.strerror}."
        )
    return Failure(stage, "UNEXPECTED", f"{type(error).__name__}: {error}")
