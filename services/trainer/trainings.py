"""Trainings as the bucket and the backend tell of them. It keeps nothing that it could not read again.

A training's truth, in this order: the model's manifest, the record of how its attempt ended, the backend's job. Any
replica writes the record, and all would write the same. Replicas share no lock, so what one of them does is right
whatever another does between two of its steps: attempts have records of their own, and whoever stops a job writes the
record before, so that a job that is seen gone has its record already.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone

from google.protobuf.timestamp_pb2 import Timestamp

from facefoundry import recipes
from facefoundry.errors import Conflict, FieldViolation, InvalidInput
from facefoundry.recipes.digests import digest_values
from facefoundry.storage import keys, manifest
from facefoundry.storage.store import Store
from facefoundry.telemetry import TRAININGS_STARTED, logger
from facefoundry.v1 import recipe_pb2, trainer_pb2
from services.trainer import worker_protocol
from services.trainer.backends.base import Job, JobState, TrainingBackend
from services.trainer.settings import TrainerSettings
from services.trainer.training_store import TrainingStore
from services.trainer.worker_protocol import Attempt, Outcome, Status

__all__ = ["ENDED", "Trainings", "job_name"]

ENDED = frozenset(
    {
        trainer_pb2.TRAINING_STATE_SUCCEEDED,
        trainer_pb2.TRAINING_STATE_FAILED,
        trainer_pb2.TRAINING_STATE_CANCELLED,
    }
)

_STATES: dict[str, trainer_pb2.TrainingState.ValueType] = {
    "SUCCEEDED": trainer_pb2.TRAINING_STATE_SUCCEEDED,
    "FAILED": trainer_pb2.TRAINING_STATE_FAILED,
    "CANCELLED": trainer_pb2.TRAINING_STATE_CANCELLED,
}
_LOST = "JOB_LOST"
_DEFAULT_PAGE = 100
_LARGEST_PAGE = 1000
_DATASET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_log = logger(__name__)


def job_name(request: Attempt) -> str:
    """The backend's name of an attempt, the same for every replica."""
    return f"training-{request.training}-{request.attempt}"


class Trainings:
    """Starts, finds and stops trainings.

    Args:
        store: The object store.
        backend: Where workers run.
        settings: Times.
    """

    def __init__(self, store: Store, backend: TrainingBackend, settings: TrainerSettings) -> None:
        self._store = store
        self._documents = TrainingStore(store)
        self._backend = backend
        self._settings = settings
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, trainer_pb2.Training]] = {}

    def start(self, asked: trainer_pb2.StartTrainingRequest) -> trainer_pb2.Training:
        """Start a training, or find it running or done.

        Raises:
            InvalidInput: a field is wrong.
            NotFound: an extraction is not committed.
            Conflict: it is running for another number of iterations.
        """
        _check_labels(asked)
        wanted = self._request(asked)
        with self._lock:
            self._seen.pop(wanted.prefix, None)
            present = self._documents.find(wanted.prefix)
            if present is None:
                return self._begin(self._unused(wanted))
            training = self._describe(present)
            same = present.iterations == wanted.iterations
            if training.state == trainer_pb2.TRAINING_STATE_SUCCEEDED and same and self._documents.has_model(present):
                return training
            if training.state in ENDED or (not same and self._backend.get(job_name(present)) is None):
                return self._begin(self._next(wanted, present))
            if not same:
                raise Conflict(
                    f"This training is running for {present.iterations} iterations. "
                    f"Received iterations={wanted.iterations}. Wait for it to end, or stop it with "
                    f"`facefoundry cancel {training.uri}` and ask again: it goes on from its last checkpoint.",
                    reason="TRAINING_RUNS",
                    resource=training.uri,
                )
            self._backend.start(job_name(present), self._uri(present))
            training = self._describe(present)
            if training.state != trainer_pb2.TRAINING_STATE_CANCELLED:
                return training
            # Cancelled by another replica just now: the job that was made again is nobody's.
            self._backend.cancel(job_name(present))
            return self._begin(self._next(wanted, present))

    def get(self, uri: str) -> trainer_pb2.Training:
        """Read a training.

        Raises:
            InvalidInput: the name is not one of a training.
            NotFound: there is none of that name.
        """
        return self._describe(self._documents.present(self._store.prefix_of(uri, "trainings", "training_uri")))

    def follow(self, uri: str, newest_seconds: float) -> trainer_pb2.Training:
        """Read a training for somebody who waits for its end: one whose job is lost is taken up again.

        Args:
            uri: Its name.
            newest_seconds: Age at which an answer given before is good enough.

        Raises:
            InvalidInput: the name is not one of a training.
            NotFound: there is none of that name.
        """
        prefix = self._store.prefix_of(uri, "trainings", "training_uri")
        seen = self._seen.get(prefix)
        if seen and time.monotonic() - seen[0] < newest_seconds:
            return seen[1]
        training = self._describe(self._documents.present(prefix), take_up=True)
        if training.state in ENDED:
            self._seen.pop(prefix, None)
        else:
            self._seen[prefix] = time.monotonic(), training
        return training

    def cancel(self, uri: str) -> trainer_pb2.Training:
        """Stop a training that has not ended.

        Raises:
            InvalidInput: the name is not one of a training.
            NotFound: there is none of that name.
        """
        prefix = self._store.prefix_of(uri, "trainings", "training_uri")
        with self._lock:
            self._seen.pop(prefix, None)
            request = self._documents.present(prefix)
            training = self._describe(request)
            if training.state in ENDED and training.failure.reason != _LOST:
                return training
            self._write_record(request, Outcome(request.attempt, "CANCELLED", iteration=training.iteration))
            self._backend.cancel(job_name(request))
            return self._describe(self._documents.present(prefix))

    def list(self, dataset: str, page_size: int, page_token: str) -> tuple[list[trainer_pb2.Training], str]:
        """A page of trainings, newest first, and the token of the next page, empty on the last.

        Raises:
            InvalidInput: the token is none of ours.
        """
        after = _parse_token(page_token)
        with ThreadPoolExecutor(16, thread_name_prefix="list") as pool:
            found = [request for request in self._documents.all(pool) if not dataset or request.dataset == dataset]
            found.sort(key=_order, reverse=True)
            rest = [request for request in found if after is None or _order(request) < after]
            size = min(page_size or _DEFAULT_PAGE, _LARGEST_PAGE)
            page = list(pool.map(self._describe, rest[:size]))
        return page, _make_token(rest[size - 1]) if len(rest) > size else ""

    def _request(self, asked: trainer_pb2.StartTrainingRequest) -> Attempt:
        prefix_a = self._store.prefix_of(asked.extraction_a_uri, "extractions", "extraction_a_uri")
        prefix_b = self._store.prefix_of(asked.extraction_b_uri, "extractions", "extraction_b_uri")
        request = recipe_pb2.Recipe()
        request.CopyFrom(asked.recipe)
        recipe = recipes.resolve(request)
        options = recipes.options(recipe.training)
        content_a, content_b = (manifest.load(self._store, prefix).content_digest for prefix in (prefix_a, prefix_b))
        return Attempt(
            training=worker_protocol.training_digest(
                content_a, content_b, digest_values(recipe.training), recipe.version
            ),
            attempt=1,
            pair_id=asked.pair_id,
            dataset=asked.dataset,
            extraction_a=prefix_a,
            extraction_b=prefix_b,
            options=options,
            iterations=recipe.training.iterations,
            created=worker_protocol.now(),
        )

    def _next(self, wanted: Attempt, present: Attempt) -> Attempt:
        """The wanted training as an attempt that has no record yet."""
        return replace(wanted, attempt=self._documents.next_attempt(present))

    def _unused(self, request: Attempt) -> Attempt:
        """An attempt without an ended job: those of a bucket that was lost are kept for days."""
        while (job := self._backend.get(job_name(request))) and job.state in (JobState.SUCCEEDED, JobState.FAILED):
            request = replace(request, attempt=request.attempt + 1)
        return request

    def _begin(self, request: Attempt) -> trainer_pb2.Training:
        self._documents.write_request(request)
        if self._documents.has_model(request):
            return self._describe(request)
        self._backend.start(job_name(request), self._uri(request))
        TRAININGS_STARTED.labels(self._backend.name).inc()
        _log.event("training_started", job=job_name(request), pair=request.pair_id, iterations=request.iterations)
        return self._describe(request)

    def _describe(self, request: Attempt, *, take_up: bool = False) -> trainer_pb2.Training:
        """Put together what is known of an attempt; an end that is seen for the first time is recorded."""
        record, status, job = self._documents.record(request), self._documents.status(request), None
        if record is None:
            job = self._backend.get(job_name(request))
            ended = self._end(request, job, status)
            lost = job is None and self._silent(request, status) > self._settings.stalled_seconds
            if ended is not None or lost:
                record = self._documents.record(request)  # it may have come between the first look and the job's
            if record is None and lost and take_up:
                self._backend.start(job_name(request), self._uri(request))
                job = self._backend.get(job_name(request))
                _log.event("training_taken_up", job=job_name(request))
            elif record is None and ended is not None:
                record = ended
                if ended.reason != _LOST:
                    self._write_record(request, ended)
        elif record.state != "SUCCEEDED" and self._documents.has_model(request):
            # Its worker was done before it could be stopped.
            record = Outcome(request.attempt, "SUCCEEDED", iteration=request.iterations)
            self._write_record(request, record)
        if record is not None:
            return self._finished(request, record, status)
        training = self._common(request, status)
        training.state = self._running_state(job, status)
        if job is not None and job.diagnosis is not None:
            training.diagnosis.reason, training.diagnosis.message = job.diagnosis.reason, job.diagnosis.message
        if status is not None and training.state == trainer_pb2.TRAINING_STATE_RUNNING:
            training.iterations_per_second = status.iterations_per_second
            training.eta_seconds = status.eta_seconds
        return training

    def _silent(self, request: Attempt, status: Status | None) -> float:
        """Seconds since anybody did anything for an attempt."""
        return min(_age(request.created), _age(status.updated) if status is not None else float("inf"))

    def _end(self, request: Attempt, job: Job | None, status: Status | None) -> Outcome | None:
        """How an attempt without a record ended, or nothing when it goes on."""
        if job is not None and job.state in (JobState.QUEUED, JobState.RUNNING):
            return None
        if self._documents.has_model(request):
            return Outcome(request.attempt, "SUCCEEDED", iteration=request.iterations)
        if job is None:
            # Another replica may be about to make the job, or run the worker.
            if self._silent(request, status) < 2 * self._settings.stalled_seconds:
                return None
            # It is not recorded: whoever waits for the training takes it up again.
            return Outcome(
                request.attempt,
                "FAILED",
                _LOST,
                "Its job is gone and it has no model; start it again and it goes on from its last checkpoint.",
                ended=status.updated if status is not None else request.created,
            )
        if job.state is JobState.SUCCEEDED:
            return Outcome(
                request.attempt, "FAILED", "MODEL_MISSING", "The worker reported success but there is no model."
            )
        if job.exit_report is not None:
            last = job.exit_report
            return Outcome(request.attempt, "FAILED", last.reason, last.message, last.iteration)
        if job.diagnosis is not None:
            return Outcome(request.attempt, "FAILED", job.diagnosis.reason, job.diagnosis.message)
        message = f"The worker ended with exit code {job.exit_code} and without a word, after {job.restarts} restarts."
        return Outcome(request.attempt, "FAILED", "WORKER_CRASHED", message)

    def _running_state(self, job: Job | None, status: Status | None) -> trainer_pb2.TrainingState.ValueType:
        if job.state is JobState.QUEUED if job is not None else status is None:
            return trainer_pb2.TRAINING_STATE_QUEUED
        if status is not None and _age(status.updated) > self._settings.stalled_seconds:
            return trainer_pb2.TRAINING_STATE_STALLED
        return trainer_pb2.TRAINING_STATE_RUNNING

    def _finished(self, request: Attempt, record: Outcome, status: Status | None) -> trainer_pb2.Training:
        training = self._common(request, status)
        training.state = _STATES[record.state]
        training.iteration = max(training.iteration, record.iteration)
        if record.state == "SUCCEEDED":
            training.iteration = request.iterations
            training.model_uri = self._store.uri(request.model_prefix)
        if record.state == "FAILED":
            training.failure.reason, training.failure.message = record.reason, record.message
        training.update_time.CopyFrom(_timestamp(record.ended))
        return training

    def _common(self, request: Attempt, status: Status | None) -> trainer_pb2.Training:
        training = trainer_pb2.Training(
            uri=self._store.uri(request.prefix),
            pair_id=request.pair_id,
            dataset=request.dataset,
            attempt=request.attempt,
            iterations=request.iterations,
            create_time=_timestamp(request.created),
        )
        if status is not None:
            training.iteration = status.iteration
            training.checkpoint_iteration = status.checkpoint_iteration
            training.update_time.CopyFrom(_timestamp(status.updated))
            if status.losses:
                training.loss_a, training.loss_b = status.losses[-1][1:]
        return training

    def _uri(self, request: Attempt) -> str:
        return self._store.uri(worker_protocol.attempt_key(request.prefix))

    def _write_record(self, request: Attempt, record: Outcome) -> None:
        self._documents.write_record(request, record)
        _log.event("training_ended", job=job_name(request), state=record.state, reason=record.reason)


def _check_labels(asked: trainer_pb2.StartTrainingRequest) -> None:
    ids = asked.pair_id.split("_")
    if len(ids) != 2:
        raise InvalidInput(
            f"A pair's id has the form <A>_<B>. Received pair_id={asked.pair_id!r}.",
            reason="PAIR_ID",
            violations=[FieldViolation("pair_id", "must have the form <A>_<B>")],
        )
    for part in ids:
        keys.sequence_id(part, "pair_id")
    if not set(asked.dataset) <= _DATASET or len(asked.dataset) > 63:
        raise InvalidInput(
            f"A dataset's label has at most 63 letters, digits, '.', '_' and '-'. Received dataset={asked.dataset!r}.",
            reason="DATASET",
            violations=[FieldViolation("dataset", "at most 63 letters, digits, '.', '_' and '-'")],
        )


def _order(request: Attempt) -> tuple[str, str]:
    return request.created, request.training


def _make_token(request: Attempt) -> str:
    return base64.urlsafe_b64encode(json.dumps(_order(request)).encode()).decode()


def _parse_token(token: str) -> tuple[str, str] | None:
    if not token:
        return None
    try:
        created, digest = json.loads(base64.urlsafe_b64decode(token.encode()))
        return str(created), str(digest)
    except (binascii.Error, ValueError, TypeError) as error:
        raise InvalidInput(
            f"A page token is what the page before gave. Received page_token={token!r}.",
            reason="PAGE_TOKEN",
            violations=[FieldViolation("page_token", "must be next_page_token of the page before")],
        ) from error


def _age(moment: str) -> float:
    return (datetime.now(timezone.utc) - datetime.fromisoformat(moment)).total_seconds()


def _timestamp(moment: str) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(datetime.fromisoformat(moment).astimezone(timezone.utc).replace(tzinfo=None))
    return stamp
