"""The one orchestrator: n pairs from clips to a dataset. It owns order, concurrency and failures, not the work itself.

Every pair is independent: one that fails is recorded with its reason and the others go on. Work that is in the store
already is found, so running the same command again goes on where it stopped.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

from facefoundry.client import Client
from facefoundry.dataset import models, stages
from facefoundry.dataset.ffpp_layout import Layout
from facefoundry.dataset.plan import Clip, Pair
from facefoundry.dataset.progress import Event, OnEvent
from facefoundry.dataset.record import FakeRecord, PairRecord, RunRecord
from facefoundry.errors import Cancelled, FaceFoundryError, Unavailable, Unusable
from facefoundry.storage import keys
from facefoundry.storage.store import Store
from facefoundry.v1 import common_pb2, extractor_pb2, recipe_pb2

__all__ = ["DatasetRun", "Limits"]

T = TypeVar("T")

_NOTE_SECONDS = 3.0
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Limits:
    """How much is under way at once. Services refuse what is too much for them; this only bounds what waits."""

    pairs: int = 64
    extractions: int = 16
    conversions: int = 16


@dataclass(frozen=True)
class PairTask:
    """What one pair needs."""

    record: PairRecord
    pair: Pair
    model: Path | None


class DatasetRun:
    """A run over pairs of clips.

    Args:
        client: The services.
        store: The object store that the services use.
        recipe: The resolved recipe.
        record: Where everything that happens is noted; its pairs are filled here.
        out: Folder of the dataset.
        on_event: Called from many threads with what happens.
        convert: Make the manipulated sequences; otherwise only models.
        keep_faces: Also write face crops and alignments to disk.
        frame_rate: Frames per second of folders of frames.
        limits: Concurrency.
        on_record: Called after the record was written.

    Attributes:
        recipe: As given.
        had_outage: Some pair failed because a part of the system did not answer: the same run again may end otherwise.
    """

    def __init__(
        self,
        client: Client,
        store: Store,
        recipe: recipe_pb2.Recipe,
        record: RunRecord,
        out: Path,
        on_event: OnEvent,
        *,
        convert: bool = True,
        keep_faces: bool = False,
        frame_rate: Fraction = Fraction(25),
        limits: Limits | None = None,
        on_record: Callable[[], object] = lambda: None,
    ) -> None:
        limits = limits or Limits()
        self._client, self._store, self.recipe, self._record = client, store, recipe, record
        self._layout = Layout(out)
        self._on_event, self._on_record = on_event, on_record
        self._convert, self._keep_faces, self._frame_rate = convert, keep_faces, frame_rate
        self._workers = limits.pairs
        self._extracting = threading.BoundedSemaphore(limits.extractions)
        self._converting = threading.BoundedSemaphore(limits.conversions)
        self._once: dict[tuple[str, str], Future[Any]] = {}
        self._once_lock = threading.Lock()
        self._stages = stages.Stages(client, store, recipe, self._layout, record, on_event)
        self._clips: Mapping[str, Clip] = {}
        self._next_note = 0.0
        self._unnoted = False
        self._note_lock = threading.Lock()
        self.had_outage = False

    def run(
        self, pairs: Sequence[Pair], clips: Mapping[str, Clip], given: Mapping[Pair, Path] | None = None
    ) -> RunRecord:
        """Do all pairs.

        Args:
            pairs: Which.
            clips: Where the sequences of the pairs are.
            given: Folders of models that need no training, by pair.

        Returns:
            The record; failed pairs are in it.

        Raises:
            KeyboardInterrupt: after everything was told to stop and the record was written.
        """
        self._clips = clips
        work = []
        for pair in pairs:
            noted = PairRecord(pair.id, pair.a, pair.b)
            self._record.pairs.append(noted)
            work.append(PairTask(noted, pair, (given or {}).get(pair)))
        self._note()
        with ThreadPoolExecutor(min(self._workers, max(1, len(work))), thread_name_prefix="pair") as pool:
            running = {pool.submit(self._pair, item): item for item in work}
            try:
                ended: queue.SimpleQueue[Future[None]] = queue.SimpleQueue()
                for future in running:
                    future.add_done_callback(ended.put)
                while running:
                    try:
                        future = ended.get(timeout=_LOOK_SECONDS)
                    except queue.Empty:  # Ctrl-C may wait for this thread to come round
                        if self._unnoted:
                            self._note()
                        continue
                    self._end(running.pop(future), future.exception())
            except BaseException:
                self._stop()
                for future in running:
                    future.cancel()
                wait(running)
                for item in running.values():
                    if not item.record.ended:
                        item.record.state = "pending"
                self._note(always=True)
                raise
        self._note(always=True)
        return self._record

    def extract(self, clips: Mapping[str, Clip]) -> dict[str, FaceFoundryError]:
        """Extract clips without pairing them; returns the errors of those that failed, by id."""
        self._clips = clips
        failed: dict[str, FaceFoundryError] = {}

        def one(name: str) -> None:
            try:
                self._sequence(name)
            except Cancelled:
                raise
            except FaceFoundryError as error:
                failed[name] = error
                self._on_event(Event(name, "extract", "failed", message=f"{error.reason}: {error.message}"))

        with ThreadPoolExecutor(min(self._workers, len(clips)), thread_name_prefix="clip") as pool:
            futures = [pool.submit(one, name) for name in clips]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                self._stop()
                for future in futures:
                    future.cancel()
                raise
        return failed

    def convert_one(self, clip: Clip, model: Path, pair: Pair, *, swap_model: bool) -> FakeRecord:
        """Put the other side's face of a model on one clip, which was trained as A, or as B with `swap_model`."""
        source_id, side = (pair.a, common_pb2.SIDE_B) if swap_model else (pair.b, common_pb2.SIDE_A)
        fake = FakeRecord(f"{clip.id}_{source_id}", clip.id, source_id)
        target = self._stages.sequence(clip, self._frame_rate, self._keep_faces)
        unseen = stages.ExtractedSequence(source_id, "", extractor_pb2.Extraction(), [])
        self._stages.convert(fake, models.upload(self._store, model), side, target, unseen)
        self._stages.transcode(target)
        return fake

    def _end(self, work: PairTask, error: BaseException | None) -> None:
        """Note why a pair failed, and tell how it ended."""
        self.had_outage |= isinstance(error, Unavailable)
        if isinstance(error, FaceFoundryError):
            failure = {"stage": str(getattr(error, "stage", "")), "reason": error.reason, "message": error.message}
        elif isinstance(error, OSError):
            message = f"Cannot read or write {error.filename or self._layout.root}: {error.strerror}."
            failure = {"stage": "", "reason": "FILE", "message": message}
        elif error is not None:
            failure = {"stage": "", "reason": "UNEXPECTED", "message": f"{type(error).__name__}: {error}"}
        else:
            failure = None
        if failure:
            self._record.end(work.record, failure)
            message = f"{failure['reason']}: {failure['message']}"
        else:
            message = "found, not made again" if work.record.was_done else ""
        self._on_event(Event(work.pair.id, "pair", work.record.state, message=message))
        self._note()

    def _note(self, *, always: bool = False) -> None:
        """Write the record; while much happens at once, only now and then: of thousands of pairs it takes seconds."""
        with self._record.lock:
            self._unnoted = not always and time.monotonic() < self._next_note
            if self._unnoted:
                return
            self._next_note = math.inf
        try:
            with self._note_lock, self._spaced():
                data = self._record.write(self._layout.report())
                self._on_record()
            store = self._store.with_retries_for(0.0)  # a lost save is made up for by the next
            store.put_bytes(f"{keys.run(self._record.name)}/run.json", data, "application/json")
        except (FaceFoundryError, OSError) as error:
            self._on_event(Event(self._record.name, "record", "failed", message=str(error)))

    @contextmanager
    def _spaced(self) -> Iterator[None]:
        """Have the next note wait for long enough that the like of this one takes a twentieth of the time at most."""
        start = time.monotonic()
        try:
            yield
        finally:
            end = time.monotonic()
            self._next_note = end + max(_NOTE_SECONDS, 20 * (end - start))

    def _stop(self) -> None:
        """Have every call and every wait of the other threads end."""
        self._client.stop()
        self._store.abort_waits()

    def _pair(self, work: PairTask) -> None:
        """All stages of one pair, in order."""
        with self._record.lock:
            work.record.state = "running"
        with _during("extract"):
            a, b = self._both(self._sequence, [(work.pair.a,), (work.pair.b,)])
            if a.extraction.content_digest == b.extraction.content_digest:
                message = f"{a.id} and {b.id} are the same clip under two names; a pair needs two different ones."
                raise Unusable(message, reason="SAME_CLIP")
        with _during("train"):
            if work.model is None:
                model_uri = self._stages.train(work.record, a, b)
            else:
                model_uri = models.upload(self._store, work.model)
            self._stages.fetch_model(work.record, model_uri)
        self._note()
        if self._convert:
            self._fakes(work, model_uri, a, b)
        self._record.end(work.record, None)

    def _fakes(self, work: PairTask, model_uri: str, a: stages.ExtractedSequence, b: stages.ExtractedSequence) -> None:
        """Both directions of a pair."""
        fakes = [FakeRecord(work.pair.id, a.id, b.id), FakeRecord(work.pair.mirrored, b.id, a.id)]
        with self._record.lock:
            work.record.fakes.extend(fakes)
        jobs = [(fakes[0], model_uri, common_pb2.SIDE_A, a, b), (fakes[1], model_uri, common_pb2.SIDE_B, b, a)]
        with _during("convert"):
            self._both(self._fake, jobs)

    def _sequence(self, name: str) -> stages.ExtractedSequence:
        """A sequence, extracted once however many pairs it is in."""

        def extract() -> stages.ExtractedSequence:
            with self._extracting:
                self._client.raise_if_stopped()
                return self._stages.sequence(self._clips[name], self._frame_rate, self._keep_faces)

        return self._share(("sequence", name), extract)

    def _fake(
        self,
        fake: FakeRecord,
        model_uri: str,
        side: int,
        target: stages.ExtractedSequence,
        source: stages.ExtractedSequence,
    ) -> None:
        """One direction of a pair, and its target encoded at the same compression levels."""

        def transcode() -> None:
            with self._converting:
                self._client.raise_if_stopped()
                self._stages.transcode(target)

        with self._converting:
            self._client.raise_if_stopped()
            self._stages.convert(fake, model_uri, side, target, source)
        self._share(("real", target.id), transcode)
        if self.recipe.extraction.identity:
            with self._converting:
                self._stages.compare(fake, model_uri, side, target, source)
        self._note()

    def _share(self, key: tuple[str, str], make: Callable[[], T]) -> T:
        """Do something once; everybody else who asks waits for that result, or gets its error."""
        with self._once_lock:
            mine = key not in self._once
            future = self._once.setdefault(key, Future())
        if mine:
            try:
                future.set_result(make())
            except BaseException as error:
                if isinstance(error, Unavailable):
                    with self._once_lock:
                        del self._once[key]  # it may answer when the next pair asks
                future.set_exception(error)
                raise
        result: T = future.result()
        return result

    def _both(self, function: Callable[..., T], arguments: Sequence[tuple[Any, ...]]) -> list[T]:
        """Call a function on both sides at once; the first error is raised after both have ended."""
        with ThreadPoolExecutor(len(arguments), thread_name_prefix="side") as pool:
            futures = [pool.submit(function, *each) for each in arguments]
            return [future.result() for future in futures]


@contextmanager
def _during(stage: str) -> Iterator[None]:
    """Remember in an error which stage it ended."""
    try:
        yield
    except Cancelled:
        raise
    except FaceFoundryError as error:
        error.stage = stage  # type: ignore[attr-defined]
        raise
