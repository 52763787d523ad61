"""Keeps the run record while the run works, and saves it to the dataset's folder and to the bucket."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from facefoundry.dataset.plan import Pair
from facefoundry.dataset.progress import Event, OnEvent
from facefoundry.dataset.record import Failure, PairRecord, RunRecord, SequenceRecord, StageTime
from facefoundry.dataset.run_folder import RUN_FILE, RunFolder, pair_file
from facefoundry.errors import FaceFoundryError
from facefoundry.storage.manifest import Manifest

__all__ = ["RunRecorder"]

_MIN_INTERVAL_SECONDS = 3.0
_MAX_SHARE = 1 / 20


class RunRecorder:
    """Fills and saves the run record. Many threads may use it at once.

    Args:
        record: The record to fill.
        folder: Folder in which the record is saved.
        on_event: Called with an event if a save fails; the run then continues without it.
        upload: Called with the name and bytes of `run.json` and of each ended pair's file, to copy them elsewhere.
        on_save: Called after each save.
        clock: Monotonic time in seconds.

    Attributes:
        record: The record.
        pairs: The records of all pairs. An ended pair's losses and labels are removed here and kept only in its file.
        lock: Hold this lock to change a record.
    """

    def __init__(
        self,
        record: RunRecord,
        folder: RunFolder,
        on_event: OnEvent,
        *,
        upload: Callable[[str, bytes], object] = lambda name, data: None,
        on_save: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.record, self.pairs = record, list[PairRecord]()
        self.lock = threading.RLock()
        self._folder, self._on_event, self._upload, self._on_save = folder, on_event, upload, on_save
        self._clock, self._started = clock, clock()
        self._pairs_of: dict[str, list[PairRecord]] = {}
        self._not_uploaded: list[str] = []
        self._saving = threading.Lock()
        self._next_save = 0.0
        self._save_skipped = False

    def begin(self, pairs: Iterable[Pair]) -> list[PairRecord]:
        """Begin a new run.

        Make a pending record for each pair, delete the files of an earlier run's pairs, save `run.json`, and return the
        records.
        """
        with self.lock:
            self.pairs = [PairRecord(pair.id, pair.a, pair.b) for pair in pairs]
            self.record.pairs = [pair.id for pair in self.pairs]
            self.record.done, self.record.failures = 0, {}
            self._pairs_of.clear()
            for pair in self.pairs:
                for item in {pair.id, pair.a, pair.b, f"{pair.b}_{pair.a}"}:
                    self._pairs_of.setdefault(item, []).append(pair)
        try:
            self._folder.clear()
        except OSError as error:
            self._report(error)
        self.save()
        return self.pairs

    def start(self, item: str) -> None:
        """Record that the work on the pairs of a sequence has begun."""
        with self.lock:
            for pair in self._pairs_of.get(item, ()):
                if pair.state == "pending":
                    pair.state = "running"

    def add_sequence(self, name: str, sequence: SequenceRecord) -> None:
        """Record an extracted sequence."""
        with self.lock:
            self.record.sequences[name] = sequence

    def add_time(self, item: str, stage: str, seconds: float, retries: int = 0) -> None:
        """Record the duration of a stage in every unfinished pair that it belongs to.

        Args:
            item: Id of the pair, sequence or fake that the stage worked on.
            stage: Name of the stage.
            seconds: Duration of the stage.
            retries: Failed calls and transfers that were repeated.
        """
        with self.lock:
            for pair in self._pairs_of.get(item, ()):
                if not pair.ended:
                    name = stage if item == pair.id else f"{stage} {item}"
                    pair.stages.append(StageTime(name, round(seconds, 3), retries=retries))

    def add_cost(self, item: str, stage: str, made: Manifest, retries: int = 0, *, in_dataset: bool = True) -> None:
        """Record what a result of a stage took, in every unfinished pair that the stage belongs to.

        Args:
            item: Id of the pair, sequence or fake that the stage worked on.
            stage: Name of the stage, which has ended.
            made: Manifest of the result.
            retries: Further attempts.
            in_dataset: Whether the dataset gets its videos.
        """
        videos = sum(part.size for part in made.parts if in_dataset and part.name.endswith(".mp4"))
        with self.lock:
            for pair in self._pairs_of.get(item, ()):
                name = stage if item == pair.id else f"{stage} {item}"
                found = [entry for entry in pair.stages if entry.stage == name]
                if found and not pair.ended:
                    entry = found[-1]
                    entry.usage = entry.usage.plus(made.usage) if entry.usage and made.usage else made.usage
                    entry.video_bytes += videos
                    entry.stored_bytes += sum(part.size for part in made.parts) - videos
                    entry.retries += retries

    def end(self, pair: PairRecord, failure: Failure | None) -> None:
        """Record that a pair is done, or that it failed if there is a `failure`, and save it.

        The pair no longer changes, so its losses and labels are then kept only in its file.
        """
        with self.lock:
            pair.state = "failed" if failure else "done"
            pair.failure = failure
            if failure:
                self.record.failures[pair.id] = failure
            else:
                self.record.done += 1
            try:
                self._folder.save_pair(pair)
                self._not_uploaded.append(pair_file(pair.id))
            except OSError as error:
                self._report(error)
            pair.training.losses = []
            for fake in pair.fakes:
                fake.labels = []

    def interrupt(self) -> None:
        """Record that the run was interrupted: running pairs become pending again."""
        with self.lock:
            running = [pair for pair in self.pairs if pair.state == "running"]
            for pair in running:
                pair.state = "pending"
            try:
                for pair in running:
                    self._folder.save_pair(pair)
            except OSError as error:
                self._report(error)
        self.save(always=True)

    def save(self, *, always: bool = False) -> None:
        """Save the record, unless another save is running or has just ended.

        Args:
            always: Whether to save in any case.
        """
        with self.lock:
            self._save_skipped = not always and self._clock() < self._next_save
            if self._save_skipped:
                return
            self._next_save = math.inf
        with self._saving:
            try:
                with self._throttle_saves():
                    data = self._write()
                    self._on_save()
                self._send(data)
            except (FaceFoundryError, OSError) as error:
                self._report(error)

    def save_skipped(self) -> None:
        """Save the record if the last call of `save` skipped it."""
        if self._save_skipped:
            self.save()

    def _write(self) -> bytes:
        with self.lock:
            self.record.seconds = round(self._clock() - self._started, 3)
            for pair in self.pairs:
                if pair.state == "running":
                    self._folder.save_pair(pair)
            return self._folder.save_run(self.record)

    def _send(self, data: bytes) -> None:
        """Upload the files of pairs that ended, then `run.json`. What fails is repeated at the next save."""
        with self.lock:
            names, self._not_uploaded = self._not_uploaded, []
        while names:
            try:
                self._upload(names[-1], (self._folder.path / names[-1]).read_bytes())
            except BaseException:
                with self.lock:
                    self._not_uploaded += names
                raise
            names.pop()
        self._upload(RUN_FILE, data)

    @contextmanager
    def _throttle_saves(self) -> Iterator[None]:
        """Measure the save in the block, and delay the next one, so that saves take at most 5 % of the time."""
        start = self._clock()
        try:
            yield
        finally:
            end = self._clock()
            self._next_save = end + max(_MIN_INTERVAL_SECONDS, (end - start) / _MAX_SHARE)

    def _report(self, error: FaceFoundryError | OSError) -> None:
        self._on_event(Event(self.record.name, "record", "failed", message=str(error)))
