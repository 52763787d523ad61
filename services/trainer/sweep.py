"""The sweep: ends jobs whose training has ended, such as that of a cancel that failed after it had saved the outcome.

One replica sweeps at a time. It claims the sweep by a conditional write of `trainings/sweep.json`. A store without
conditional writes lets several replicas sweep at once, which does no harm. A sweep looks at the attempts that ended
since the last complete one, so its cost does not depend on how many trainings there are.
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
from services.trainer.training_index import EndedAttempt, TrainingIndex
from services.trainer.trainings import job_name, utc_now
from services.trainer.worker_protocol import Moment, outcome_key

__all__ = ["SweepRecord", "Sweep"]

_KEY = "trainings/sweep.json"
_CLAIM = timedelta(minutes=10)
# Clocks differ, and the end of an attempt is noted shortly before its outcome is saved.
_MARGIN = timedelta(minutes=1)
_START = datetime(1970, 1, 1, tzinfo=timezone.utc)
_log = logger(__name__)


@dataclass(frozen=True)
class SweepRecord:
    """Who sweeps, and what has been swept.

    Attributes:
        replica: Random id of the replica that swept last, or sweeps.
        next: UTC time before which no replica starts a sweep, ISO 8601.
        swept: The jobs of all attempts that ended before this UTC time have ended, ISO 8601.
    """

    replica: str
    next: Moment
    swept: Moment


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
        self._backend = backend
        self._interval = timedelta(seconds=seconds)
        self._clock = clock
        self._replica = secrets.token_hex(8)

    def run(self, stopping: threading.Event) -> None:
        """Sweep again and again until an event is set. A sweep that fails is logged and repeated."""
        while not stopping.wait(self._interval.total_seconds()):
            try:
                self.once()
            except FaceFoundryError as error:
                _log.warning("sweep_failed", reason=error.reason, detail=error.message)

    def once(self) -> bool:
        """Sweep if it is time and no other replica does; return whether this replica has swept.

        Raises:
            Unavailable: the store or the backend does not answer. The next sweep looks at the same attempts again.
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
        swept = record.swept
        try:
            for attempt in self._index.ended(since):
                self._end_job(attempt)
            swept = max(since, now - _MARGIN).isoformat()
        finally:
            self._write(SweepRecord(self._replica, (now + self._interval).isoformat(), swept), etag)
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
