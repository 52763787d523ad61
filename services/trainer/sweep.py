"""The sweep: ends jobs whose training has ended, such as that of a cancel that failed after it had saved the outcome.

It also completes the index of trainings, after each start of a replica.

One replica sweeps at a time. It claims the sweep by a conditional write of `trainings/sweep.json`. A store without
conditional writes lets several replicas sweep at once, which does no harm. A sweep looks at the attempts that ended
since the last one, and again at those where it failed, so its cost does not depend on how many trainings there are.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

from facefoundry.errors import Conflict, DataLoss, Denied, FaceFoundryError, NotFound
from facefoundry.storage import document, keys
from facefoundry.storage.conditional import REFUSALS, put_if_absent, put_if_unchanged
from facefoundry.storage.store import Store
from facefoundry.telemetry import JOBS_SWEPT, logger
from services.trainer.backends.base import JobState, TrainingBackend
from services.trainer.index_repair import IndexRepair
from services.trainer.training_index import EndedAttempt, TrainingIndex
from services.trainer.trainings import job_name, utc_now
from services.trainer.worker_protocol import Moment, outcome_key

__all__ = ["SweepRecord", "Sweep"]

_KEY = "trainings/sweep.json"
_CLAIM = timedelta(minutes=10)
# Clocks differ, and the end of an attempt is noted shortly before its outcome is saved.
_MARGIN = timedelta(minutes=1)
_START = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MAX_FAILED = 1000  # with more, all attempts since the last sweep are tried again instead of being recorded
_log = logger(__name__)


@dataclass(frozen=True)
class SweepRecord:
    """Who sweeps, and what has been swept.

    Attributes:
        replica: Random id of the replica that swept last, or sweeps.
        next: UTC time before which no replica starts a sweep, ISO 8601.
        swept: The jobs of all attempts that ended before this UTC time have ended, except those of `failed`, ISO 8601.
        failed: Attempts whose jobs the last sweep could not look at or end; the next one tries them again.
    """

    replica: str
    next: Moment
    swept: Moment
    failed: tuple[EndedAttempt, ...] = ()


class Sweep:
    """Ends jobs whose training has ended.

    Args:
        store: The object store.
        backend: Where workers run.
        seconds: Time between two sweeps of all replicas together.
        clock: Returns the current UTC time.
    """

    def __init__(
        self, store: Store, backend: TrainingBackend, seconds: float, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._store = store
        self._index = TrainingIndex(store)
        self._repair = IndexRepair(store)
        self._backend = backend
        self._interval = timedelta(seconds=seconds)
        self._clock = clock
        self._replica = secrets.token_hex(8)

    def run(self, stopping: threading.Event) -> None:
        """Sweep again and again until an event is set. A sweep that fails is logged and repeated."""
        while not stopping.wait(self._interval.total_seconds()):
            for step in (self.once, self._repair.once):
                try:
                    step()
                except Exception as error:  # whatever it is, the next sweep needs this thread
                    _log_failure("sweep_failed", error)

    def once(self) -> bool:
        """Sweep if it is time and no other replica does; return whether this replica has swept.

        Raises:
            Unavailable: the store does not answer. The next sweep looks at the same attempts again.
        """
        now = self._clock()
        record, etag = self._read()
        if now < datetime.fromisoformat(record.next):
            return False
        try:
            etag = self._write(replace(record, replica=self._replica, next=(now + _CLAIM).isoformat()), etag)
        except Conflict:
            return False
        since = datetime.fromisoformat(record.swept)
        swept, failed = record.swept, record.failed
        try:
            # A dictionary has each attempt once, in order.
            attempts = dict.fromkeys((*failed, *self._index.ended(since)))
            left = tuple(attempt for attempt in attempts if not self._has_swept(attempt))
            if len(left) <= _MAX_FAILED:
                swept, failed = max(since, now - _MARGIN).isoformat(), left
        finally:
            self._write(SweepRecord(self._replica, (now + self._interval).isoformat(), swept, failed), etag)
        return True

    def _has_swept(self, attempt: EndedAttempt) -> bool:
        """End the job of an attempt if it still runs; return whether that worked. A failure is logged."""
        try:
            self._end_job(attempt)
        except Exception as error:  # a backend of another package may raise any, and other attempts must be swept
            _log_failure("job_sweep_failed", error, job=job_name(attempt))
            return False
        return True

    def _end_job(self, attempt: EndedAttempt) -> None:
        name = job_name(attempt)
        job = self._backend.get(name)
        if job is None or job.state not in (JobState.QUEUED, JobState.RUNNING):
            return
        if self._store.exists(outcome_key(keys.training(attempt.training), attempt.number)):
            self._backend.cancel(name)
            JOBS_SWEPT.labels(self._backend.name).inc()
            _log.event("job_swept", job=name)

    def _read(self) -> tuple[SweepRecord, str]:
        """Return the record with its entity tag, which is empty if there is none."""
        never = SweepRecord("", _START.isoformat(), _START.isoformat())
        try:
            etag = self._store.stat(_KEY).etag
        except NotFound as error:
            if error.reason != "NO_SUCH_OBJECT":
                raise
            return never, ""
        try:
            return document.get(self._store, _KEY, SweepRecord), etag
        except DataLoss as error:
            _log.warning("sweep_record_damaged", detail=error.message)
            return never, etag

    def _write(self, record: SweepRecord, etag: str) -> str:
        data = document.encode(record)
        try:
            if etag:
                return put_if_unchanged(self._store, _KEY, data, etag)
            return put_if_absent(self._store, _KEY, data)
        except Denied as error:
            if error.reason not in REFUSALS:
                raise
            document.put(self._store, _KEY, data)
            return self._store.stat(_KEY).etag


def _log_failure(event: str, error: Exception, **fields: object) -> None:
    """Log the current exception; one that is not of this project with its traceback."""
    if isinstance(error, FaceFoundryError):
        _log.warning(event, reason=error.reason, detail=error.message, **fields)
    else:
        _log.exception(event, **fields)
