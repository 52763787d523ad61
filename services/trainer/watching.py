"""Watches the trainings with a label: what WatchTrainings sends.

A look costs a page of the index, every other time the newest one, the ends of the last minute, and the documents of
those trainings that have changed: the backend says which, from its memory. A training that waits in a queue is
therefore not read again, not even if its place there changes. Of those that run, and of those that ended without a
model a short time ago, a look reads a few in turn. All streams of a label share its looks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from facefoundry.errors import Unusable
from facefoundry.storage import keys
from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2
from services.trainer.backends.base import Diagnosis, Job, JobState
from services.trainer.entry_reader import EntryReader, Found, rediagnosed
from services.trainer.messages import ENDED, is_final
from services.trainer.training_index import Entry, TrainingIndex
from services.trainer.worker_protocol import Attempt

__all__ = ["MARGIN", "MAX_WATCHED", "Change", "LabelWatch"]

MAX_WATCHED = 100_000
"""Most trainings with a label that is watched. One that has ended takes 2.5 KB of memory, others 5 KB."""

MARGIN = timedelta(minutes=1)
"""Clocks differ by less, and the end of an attempt is noted shortly before its outcome is saved."""

_RUNNING_READS = _ENDED_READS = 16


@dataclass(frozen=True)
class Change:
    """A training that is new or has changed.

    Attributes:
        entry: Its entry in the index.
        found: What was read of it.
        read_at: When that was.
        revision: Number of the change.
    """

    entry: Entry
    found: Found
    read_at: datetime
    revision: int


class LabelWatch:
    """The trainings with a label, as they change. Threads may share it.

    Args:
        label: The label.
        store: The object store.
        describe: Derives the state of a training from its newest attempt, for a caller that waits for its end.
        job_of: Returns the job of an attempt.
        pool: Threads that read trainings.
        fresh_for: A look less than this time ago is not repeated.
        clock: Returns the current UTC time.
        most: Most trainings that the label may have.
        page_size: Most trainings that a look reads of one page of the index, 1 to 1000.
    """

    def __init__(
        self,
        label: str,
        store: Store,
        describe: Callable[[Attempt], trainer_pb2.Training],
        job_of: Callable[[Attempt], Job | None],
        pool: ThreadPoolExecutor,
        fresh_for: timedelta,
        clock: Callable[[], datetime],
        most: int = MAX_WATCHED,
        page_size: int = 1000,
    ) -> None:
        self._label, self._index, self._reader = label, TrainingIndex(store), EntryReader(store, self._describe)
        self._describe_attempt, self._job_of, self._pool = describe, job_of, pool
        self._fresh_for, self._clock, self._most, self._page_size = fresh_for, clock, most, page_size
        self._lock = threading.Lock()
        self._newest: dict[str, Change] = {}  # by prefix, as the next two
        self._open: dict[str, Change] = {}  # those that may change without a new attempt
        self._jobs: dict[str, Job | None] = {}
        self._after = ""
        self._is_complete = self._has_looked = self._is_newest_due = False
        self._revision = 0
        self._looked_at = clock()

    def look(self) -> bool:
        """Look for changes, unless another caller has just looked. Each of the first looks reads a page of trainings.

        Returns:
            Whether all trainings have been read. Otherwise look again at once.

        Raises:
            Unusable: more trainings have the label than can be watched (TOO_MANY_TRAININGS).
            Unavailable: the store or the backend does not answer.
        """
        with self._lock:
            now = self._clock()
            if self._has_looked and now - self._looked_at < self._fresh_for:
                return True
            self._is_newest_due = self._is_complete and bool(self._after) and not self._is_newest_due
            if self._is_newest_due:
                self._read_page("", now)  # it has the trainings that were started last
            else:
                self._after = self._read_page(self._after, now)
            self._is_complete |= not self._after
            if self._is_complete:
                self._read_changed(now)
                self._looked_at, self._has_looked = now, True
            return self._is_complete

    def changes(self, after: int) -> tuple[list[Change], int, datetime]:
        """Return the newest change of each training that changed after a revision, the revision now, and its time."""
        with self._lock:
            if after == self._revision:
                return [], after, self._looked_at
            found = [change for change in self._newest.values() if change.revision > after]
            return found, self._revision, self._looked_at

    def _read_page(self, after: str, now: datetime) -> str:
        """Read the trainings that are new on a page of the index.

        Args:
            after: Name of the last entry of the page before; empty for the first page.
            now: The time.

        Returns:
            Name of the last entry; empty if it is the last page.
        """
        entries = self._index.page(self._label, after, self._page_size)
        self._read([entry for entry in entries if self._is_new(entry)], now)
        if len(self._newest) > self._most:
            raise Unusable(
                f"Expected at most {self._most:,} trainings with the label {self._label}. There are more. Give the "
                "dataset another name for further trainings, or make several datasets; finished models are found "
                "whatever the name.",
                reason="TOO_MANY_TRAININGS",
            )
        return entries[-1].name if len(entries) == self._page_size else ""

    def _is_new(self, entry: Entry) -> bool:
        known = self._newest.get(entry.prefix)
        if entry.is_skipped:
            return False
        # Names are in descending order of time: an entry with a later name is that of an earlier attempt.
        return (
            known is None
            or entry.name < known.entry.name
            or (entry.name == known.entry.name and entry.version != known.entry.version)
        )

    def _read_changed(self, now: datetime) -> None:
        """Read again the trainings whose job has changed or whose end was noted, and some of those that run."""
        again, running, ended = dict[str, Change](), list[Change](), list[Change]()
        for end in self._index.ended(self._looked_at - MARGIN):
            change = self._open.get(keys.training(end.training))
            if change is None or change.found.training.state in ENDED:
                continue
            if change.found.attempt is not None and change.found.attempt.number == end.number:
                again[change.entry.prefix] = change
        for prefix, change in list(self._open.items()):
            if is_final(change.found.training, now):
                self._settle(change)
                continue
            if change.found.training.state in ENDED:
                ended.append(change)
                continue
            attempt, known = change.found.attempt, self._jobs.get(prefix)
            if attempt is None or known is None:
                running.append(change)
                continue
            job = self._job_of(attempt)
            if job is None or _without_message(job) != _without_message(known):
                again[prefix] = change
                continue
            if job.diagnosis is not None and job.diagnosis != known.diagnosis:
                change = self._diagnose(change, job.diagnosis)
                self._jobs[prefix] = job
            if job.state is not JobState.QUEUED:
                running.append(change)
        for changes, most in ((running, _RUNNING_READS), (ended, _ENDED_READS)):
            changes.sort(key=lambda change: change.read_at)
            again |= {change.entry.prefix: change for change in changes[:most]}
        self._read([change.entry for change in again.values()], now)

    def _diagnose(self, change: Change, diagnosis: Diagnosis) -> Change:
        """Replace the message of a training's diagnosis, such as its place in a queue, without reading the training."""
        if change.found.training.diagnosis.reason != diagnosis.reason:  # the training is damaged and has none
            return change
        return self._keep(change.entry, rediagnosed(change.found, diagnosis.message), change.read_at)

    def _read(self, entries: Iterable[Entry], now: datetime) -> None:
        for entry, found in self._pool.map(self._find, entries):
            if found is not None:
                self._keep(entry, found, now)

    def _keep(self, entry: Entry, found: Found, read_at: datetime) -> Change:
        """Keep what is known of a training now; it has a new revision if the training has changed."""
        known = self._newest.get(entry.prefix)
        if known is None or known.found.training != found.training:
            self._revision += 1
            known = None
        change = Change(entry, found, read_at, known.revision if known is not None else self._revision)
        if found.training.state in ENDED:
            self._jobs.pop(entry.prefix, None)
        if is_final(found.training, read_at):
            self._settle(change)
        else:
            self._newest[entry.prefix] = self._open[entry.prefix] = change
        return change

    def _settle(self, change: Change) -> None:
        """Keep a training that cannot change any more, without its attempt, which takes more memory than its state."""
        self._open.pop(change.entry.prefix, None)
        self._newest[change.entry.prefix] = replace(change, found=replace(change.found, attempt=None))

    def _find(self, entry: Entry) -> tuple[Entry, Found | None]:
        known = self._newest.get(entry.prefix)
        return entry, self._reader.read(entry, known.found if known is not None and known.entry == entry else None)

    def _describe(self, attempt: Attempt) -> trainer_pb2.Training:
        """Derive the state of a training. The job is read before, so that each later change of it is noticed."""
        self._jobs[attempt.prefix] = self._job_of(attempt)
        return self._describe_attempt(attempt)


def _without_message(job: Job) -> Job:
    """Return a job without the message of its diagnosis, which tells what nothing in the bucket depends on."""
    return replace(job, diagnosis=replace(job.diagnosis, message="")) if job.diagnosis is not None else job
