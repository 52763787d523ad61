"""Starts, finds and stops trainings, and derives each training's state from the bucket and the backend.

The state of an attempt is derived in this order. A saved outcome is final, except that a committed model turns a
failure or a cancellation into success. Without an outcome, a job that is queued or running has not ended. Otherwise the
attempt succeeded if its model is committed; if not, the job's end says why it failed. An outcome that is derived in
this way is saved, except the outcome JOB_LOST, because a lost job may be started again.

Nothing is kept in memory that cannot be read again. Several replicas of the trainer may do the same work at the same
time without locks in common. This is safe because every attempt has its own outcome, all replicas derive the same
outcome, and a replica that stops a job saves the outcome first, so a replica that finds no job finds the outcome.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial

from facefoundry import recipes
from facefoundry.bases import Bases
from facefoundry.errors import Conflict, FaceFoundryError
from facefoundry.storage import keys, manifest
from facefoundry.storage.store import Store
from facefoundry.telemetry import TRAINING_ITERATIONS, TRAINING_SECONDS, TRAININGS_STARTED, logger
from facefoundry.v1 import trainer_pb2
from services.trainer import worker_protocol
from services.trainer.backends.base import Job, JobState, TrainingBackend
from services.trainer.bases import find_base
from services.trainer.listing import TrainingList
from services.trainer.locks import Locks
from services.trainer.messages import ENDED, describe, timestamp
from services.trainer.settings import TrainerSettings
from services.trainer.stalls import Stalls
from services.trainer.training_index import EndedAttempt
from services.trainer.training_store import TrainingStore
from services.trainer.watch_streams import LabelWatches
from services.trainer.watching import LabelWatch
from services.trainer.worker_protocol import LOST, Attempt, Outcome, Status

__all__ = ["STARTS", "Trainings", "job_name", "utc_now"]

_STATES: dict[str, trainer_pb2.Training.State.ValueType] = {
    "SUCCEEDED": trainer_pb2.Training.STATE_SUCCEEDED,
    "FAILED": trainer_pb2.Training.STATE_FAILED,
    "CANCELLED": trainer_pb2.Training.STATE_CANCELLED,
}
STARTS = 4
"""How many trainings are started at once. More wait here and not at the backend, whose requests have a limited rate, so
a cancel waits for the requests of these few starts at most."""

_WATCHERS = 16
_log = logger(__name__)


def job_name(attempt: Attempt | EndedAttempt) -> str:
    """Return the name of an attempt's job; every replica derives the same one."""
    return f"training-{attempt.training}-{attempt.number}"


def utc_now() -> datetime:
    """Return the UTC time."""
    return datetime.now(timezone.utc)


class Trainings:
    """Starts, finds and stops trainings.

    Args:
        store: The object store.
        backend: Where workers run.
        settings: Settings of the trainer.
        clock: Returns the current UTC time.
        bases: The bases that ship with the package.
    """

    def __init__(
        self,
        store: Store,
        backend: TrainingBackend,
        settings: TrainerSettings,
        clock: Callable[[], datetime] = utc_now,
        bases: Bases | None = None,
    ) -> None:
        self._store = store
        self._documents = TrainingStore(store)
        self._backend = backend
        self._settings = settings
        self._clock = clock
        self._bases = bases or Bases()
        self._locks = Locks()
        self._stalls = Stalls(backend.name)
        self._starts = threading.Semaphore(STARTS)
        self._list = TrainingList(store, settings, self._describe)
        self._recent: dict[str, tuple[float, trainer_pb2.Training]] = {}
        self._watchers = ThreadPoolExecutor(_WATCHERS, thread_name_prefix="watch")
        self._watches = LabelWatches(self._watch_of)

    def start(self, request: trainer_pb2.StartTrainingRequest) -> trainer_pb2.Training:
        """Start a training and return its state; a training that is running or done is not started again.

        Raises:
            InvalidInput: a field of the request is wrong.
            NotFound: an extraction or the base is not committed.
            Conflict: the training is running for another number of iterations (TRAINING_RUNS).
        """
        new_attempt = self._first_attempt(request)
        training = self._start(new_attempt)
        self._documents.save_label(new_attempt.prefix, request.dataset)
        return self._labelled(training, new_attempt.prefix)

    def _start(self, new_attempt: Attempt) -> trainer_pb2.Training:
        with self._starts, self._locks.of(new_attempt.prefix):
            self._forget(new_attempt.prefix)
            current = self._documents.find(new_attempt.prefix)
            if current is None:
                return self._begin(self._with_unused_job(self._renumbered(new_attempt)))
            training = self._describe(current)
            same = current.iterations == new_attempt.iterations
            if training.state == trainer_pb2.Training.STATE_SUCCEEDED and same and self._documents.has_model(current):
                return training
            if training.state in ENDED or (not same and self._backend.get(job_name(current)) is None):
                return self._begin(self._renumbered(new_attempt, current), current)
            if not same:
                raise Conflict(
                    f"Expected iterations={current.iterations}, because this training is running with that number. "
                    f"Received iterations={new_attempt.iterations}. Wait until the training ends, or cancel it with "
                    f"`facefoundry cancel {training.uri}`. Then start it again; it resumes from its last checkpoint.",
                    reason="TRAINING_RUNS",
                    resource=training.uri,
                )
            self._backend.start(job_name(current), self._uri(current))
            training = self._describe(current)
            if training.state != trainer_pb2.Training.STATE_CANCELLED:
                return training
            # Another replica cancelled the attempt in between, so the job that was just started must not run.
            self._backend.cancel(job_name(current))
            return self._begin(self._renumbered(new_attempt, current), current)

    def get(self, uri: str) -> trainer_pb2.Training:
        """Return the state of a training.

        Raises:
            InvalidInput: the URI does not name a training.
            NotFound: there is no such training.
        """
        prefix = keys.prefix_of(self._store.bucket, uri, "trainings", "training_uri")
        return self._labelled(self._describe(self._documents.load(prefix)), prefix)

    def follow(self, uri: str, max_age_seconds: float) -> trainer_pb2.Training:
        """Return the state of a training for a caller that waits for its end; a lost job is restarted.

        A job is lost if the backend does not know it and its worker has not reported for `stalled_seconds`.

        Args:
            uri: URI of the training.
            max_age_seconds: A state that was derived less than this time ago is returned again.

        Raises:
            InvalidInput: the URI does not name a training.
            NotFound: there is no such training.
        """
        prefix = keys.prefix_of(self._store.bucket, uri, "trainings", "training_uri")
        recent = self._recent.get(prefix)
        if recent and time.monotonic() - recent[0] < max_age_seconds:
            return recent[1]
        training = self._labelled(self._describe(self._documents.load(prefix), restart_if_lost=True), prefix)
        if training.state in ENDED:
            self._recent.pop(prefix, None)
        else:
            self._recent[prefix] = time.monotonic(), training
        return training

    def watch(self, label: str) -> AbstractContextManager[LabelWatch]:
        """Return a context with what tells the changes of the trainings with a label; lost jobs are restarted."""
        return self._watches.of(label)

    def _watch_of(self, label: str) -> LabelWatch:
        return LabelWatch(
            label,
            self._store,
            partial(self._describe, restart_if_lost=True),
            lambda attempt: self._backend.get(job_name(attempt)),
            self._watchers,
            timedelta(seconds=self._settings.poll_seconds / 2),
            self._clock,
        )

    def cancel(self, uri: str) -> trainer_pb2.Training:
        """Stop a training, and return its state. A training that has ended is returned without a change.

        The job of a cancelled training is stopped again, because the call that cancelled it may have failed.

        Raises:
            InvalidInput: the URI does not name a training.
            NotFound: there is no such training.
        """
        prefix = keys.prefix_of(self._store.bucket, uri, "trainings", "training_uri")
        with self._locks.of(prefix):
            self._forget(prefix)
            attempt = self._documents.load(prefix)
            training = self._describe(attempt)
            cancelled = training.state == trainer_pb2.Training.STATE_CANCELLED
            if training.state in ENDED and not cancelled and training.failure.reason != LOST:
                return self._labelled(training, prefix)
            if not cancelled:
                self._save_outcome(attempt, Outcome(attempt.number, "CANCELLED", iteration=training.iteration))
            self._backend.cancel(job_name(attempt))
            return self._labelled(self._describe(self._documents.load(prefix)), prefix)

    def list(
        self, dataset: str, page_size: int, page_token: str, is_wanted: Callable[[], bool] = lambda: True
    ) -> tuple[list[trainer_pb2.Training], str]:
        """Return a page of trainings, newest first, and the token of the next page; see `TrainingList.page`."""
        return self._list.page(dataset, page_size, page_token, is_wanted)

    def read_ahead(self, stopping: threading.Event) -> None:
        """Read the trainings that lists will ask for, once, until an event is set. A failure is logged."""
        try:
            self._list.read_ahead(stopping)
        except FaceFoundryError as error:
            _log.warning("list_not_read_ahead", reason=error.reason, detail=error.message)

    def _first_attempt(self, request: trainer_pb2.StartTrainingRequest) -> Attempt:
        """Make the attempt that a request describes, with number 1."""
        prefix_a = keys.prefix_of(self._store.bucket, request.extraction_a_uri, "extractions", "extraction_a_uri")
        prefix_b = keys.prefix_of(self._store.bucket, request.extraction_b_uri, "extractions", "extraction_b_uri")
        recipe = recipes.resolve(request.recipe)
        base = find_base(self._store, self._bases, recipe.training)
        content_a, content_b = (manifest.load(self._store, prefix).content_digest for prefix in (prefix_a, prefix_b))
        return Attempt(
            training=worker_protocol.training_digest(content_a, content_b, recipe.training, recipe.version, base),
            number=1,
            pair_id=request.pair_id,
            extraction_a=prefix_a,
            extraction_b=prefix_b,
            options=recipes.options(recipe.training),
            iterations=recipe.training.iterations,
            created=self._clock().isoformat(),
            base=base,
            version=recipe.version,
        )

    def _renumbered(self, new_attempt: Attempt, current: Attempt | None = None) -> Attempt:
        """Return a copy of `new_attempt` with the first number after `current` and after every saved outcome.

        Outcomes of earlier attempts may be there without a current attempt, because each object expires by itself.
        """
        number = self._documents.next_number(new_attempt.prefix, current.number if current is not None else 0)
        return replace(new_attempt, number=number)

    def _with_unused_job(self, attempt: Attempt) -> Attempt:
        """Return a copy of the attempt with a number for which the backend has no ended job.

        The bucket may have been emptied, while the backend still has the ended jobs of earlier attempts.
        """
        while (job := self._backend.get(job_name(attempt))) and job.state in (JobState.SUCCEEDED, JobState.FAILED):
            attempt = replace(attempt, number=attempt.number + 1)
        return attempt

    def _begin(self, attempt: Attempt, replaced: Attempt | None = None) -> trainer_pb2.Training:
        self._documents.save_attempt(attempt, replaced)
        if self._documents.has_model(attempt):
            return self._describe(attempt)
        self._backend.start(job_name(attempt), self._uri(attempt))
        TRAININGS_STARTED.labels(self._backend.name).inc()
        _log.event("training_started", job=job_name(attempt), pair=attempt.pair_id, iterations=attempt.iterations)
        return self._describe(attempt)

    def _describe(self, attempt: Attempt, *, restart_if_lost: bool = False) -> trainer_pb2.Training:
        """Derive the state of a training; an outcome that is derived for the first time is saved.

        Args:
            attempt: The newest attempt at the training.
            restart_if_lost: Whether to restart the attempt's job if it is lost.
        """
        outcome, status, job = self._documents.find_outcome(attempt), self._documents.find_status(attempt), None
        if outcome is None:
            job = self._backend.get(job_name(attempt))
            derived = self._derive_outcome(attempt, job, status)
            lost = job is None and self._idle_seconds(attempt, status) > self._settings.stalled_seconds
            if derived is not None or lost:
                outcome = self._documents.find_outcome(attempt)  # it may have been saved before the job was read
            if outcome is None and lost and restart_if_lost:
                self._backend.start(job_name(attempt), self._uri(attempt))
                job = self._backend.get(job_name(attempt))
                _log.event("training_restarted", job=job_name(attempt))
            elif outcome is None and derived is not None:
                outcome = derived
                if derived.reason != LOST:
                    self._save_outcome(attempt, derived)
        elif outcome.state != "SUCCEEDED" and self._documents.has_model(attempt):
            # The worker committed the model before it could be stopped.
            outcome = Outcome(attempt.number, "SUCCEEDED", iteration=attempt.iterations)
            self._save_outcome(attempt, outcome)
        if outcome is not None:
            self._stalls.see(attempt.training, is_stalled=False)
            return self._ended_message(attempt, outcome, status)
        training = describe(self._store.uri(attempt.prefix), attempt, status)
        training.state = self._unfinished_state(job, status)
        self._stalls.see(attempt.training, is_stalled=training.state == trainer_pb2.Training.STATE_STALLED)
        if job is not None and job.diagnosis is not None:
            training.diagnosis.reason, training.diagnosis.message = job.diagnosis.reason, job.diagnosis.message
        if status is not None and training.state == trainer_pb2.Training.STATE_RUNNING:
            training.iterations_per_second = status.iterations_per_second
            if status.eta_seconds:
                training.eta.FromMilliseconds(round(1000 * status.eta_seconds))
        return training

    def _forget(self, prefix: str) -> None:
        """Forget what is remembered of a training, because it is about to change."""
        self._recent.pop(prefix, None)
        self._list.forget(prefix)

    def _labelled(self, training: trainer_pb2.Training, prefix: str) -> trainer_pb2.Training:
        training.datasets.extend(self._documents.labels(prefix))
        return training

    def _age(self, moment: str) -> float:
        return (self._clock() - datetime.fromisoformat(moment)).total_seconds()

    def _idle_seconds(self, attempt: Attempt, status: Status | None) -> float:
        """Return the seconds since the attempt was created or its worker last reported, whichever is later."""
        return min(self._age(attempt.created), self._age(status.updated) if status is not None else float("inf"))

    def _derive_outcome(self, attempt: Attempt, job: Job | None, status: Status | None) -> Outcome | None:
        """Derive how an attempt without a saved outcome ended; None if it may still be running."""
        if job is not None and job.state in (JobState.QUEUED, JobState.RUNNING):
            return None
        if self._documents.has_model(attempt):
            return Outcome(attempt.number, "SUCCEEDED", iteration=attempt.iterations)
        if job is None:
            # Another replica may be about to create the job, or may be running the worker.
            if self._idle_seconds(attempt, status) < 2 * self._settings.stalled_seconds:
                return None
            # This outcome is not saved: a caller who waits for the training restarts the job instead.
            return Outcome(
                attempt.number,
                "FAILED",
                LOST,
                "The training has no job and no model. Start it again; it resumes from its last checkpoint.",
                ended=status.updated if status is not None else attempt.created,
            )
        if job.state is JobState.SUCCEEDED:
            message = (
                "Expected the model in the bucket, because the worker reported success. The model is not there. "
                "Start the training again."
            )
            return Outcome(attempt.number, "FAILED", "MODEL_MISSING", message)
        if job.exit_report is not None:
            report = job.exit_report
            return Outcome(attempt.number, "FAILED", report.reason, report.message, report.iteration)
        if job.diagnosis is not None:
            return Outcome(attempt.number, "FAILED", job.diagnosis.reason, job.diagnosis.message)
        message = (
            f"The worker crashed with exit code {job.exit_code} after {job.restarts} restarts. The cause is in the "
            "worker's log. Start the training again; it resumes from its last checkpoint."
        )
        return Outcome(attempt.number, "FAILED", "WORKER_CRASHED", message)

    def _unfinished_state(self, job: Job | None, status: Status | None) -> trainer_pb2.Training.State.ValueType:
        if job.state is JobState.QUEUED if job is not None else status is None:
            return trainer_pb2.Training.STATE_QUEUED
        if status is not None and self._age(status.updated) > self._settings.stalled_seconds:
            return trainer_pb2.Training.STATE_STALLED
        return trainer_pb2.Training.STATE_RUNNING

    def _ended_message(self, attempt: Attempt, outcome: Outcome, status: Status | None) -> trainer_pb2.Training:
        training = describe(self._store.uri(attempt.prefix), attempt, status)
        training.state = _STATES[outcome.state]
        training.iteration = max(training.iteration, outcome.iteration)
        if outcome.state == "SUCCEEDED":
            training.iteration = attempt.iterations
            training.model_uri = self._store.uri(attempt.model_prefix)
        if outcome.state == "FAILED":
            training.failure.reason, training.failure.message = outcome.reason, outcome.message
        training.update_time.CopyFrom(timestamp(outcome.ended))
        return training

    def _uri(self, attempt: Attempt) -> str:
        return self._store.uri(worker_protocol.attempt_key(attempt.prefix))

    def _save_outcome(self, attempt: Attempt, outcome: Outcome) -> None:
        self._documents.save_outcome(attempt, outcome)
        if outcome.state == "SUCCEEDED":
            TRAINING_ITERATIONS.labels(self._backend.name).inc(attempt.iterations)
            TRAINING_SECONDS.labels(self._backend.name).inc(self._documents.seconds(attempt))
        _log.event("training_ended", job=job_name(attempt), state=outcome.state, reason=outcome.reason)
