"""Reads and writes the documents of trainings in the bucket: attempts, status reports and outcomes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from facefoundry.errors import DataLoss, NotFound
from facefoundry.storage import document, manifest
from facefoundry.storage.store import Store
from facefoundry.telemetry import logger
from services.trainer import worker_protocol
from services.trainer.worker_protocol import Attempt, Outcome, Status

__all__ = ["TrainingStore"]

_log = logger(__name__)

T = TypeVar("T", Attempt, Status, Outcome)


class TrainingStore:
    """Reads and writes the documents of trainings.

    Args:
        store: The object store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, prefix: str) -> Attempt | None:
        """Return the newest attempt at a training, or None if the training was never started.

        Raises:
            DataLoss: the document is damaged.
        """
        return self._read(Attempt, worker_protocol.attempt_key(prefix))

    def load(self, prefix: str) -> Attempt:
        """Return the newest attempt at a training.

        Raises:
            NotFound: the training was never started (NO_SUCH_TRAINING).
            DataLoss: the document is damaged.
        """
        attempt = self.find(prefix)
        if attempt is None:
            uri = self._store.uri(prefix)
            message = (
                f"Expected the URI of a training. There is no training {uri}. `facefoundry status` lists the trainings."
            )
            raise NotFound(message, reason="NO_SUCH_TRAINING", resource=uri)
        return attempt

    def load_all(self, pool: ThreadPoolExecutor) -> Iterator[Attempt]:
        """Return the newest attempt at each training; damaged documents are logged and skipped.

        Args:
            pool: Threads that read the documents.
        """
        keys = [key for key in self._store.list("trainings/") if key.endswith("/attempt.json")]
        return (attempt for attempt in pool.map(self._find_undamaged, keys) if attempt is not None)

    def find_status(self, attempt: Attempt) -> Status | None:
        """Return the newest status report of an attempt's worker, or None if there is none or it is damaged.

        A damaged report is no error, because the worker's next report replaces it.
        """
        try:
            status = self._read(Status, worker_protocol.status_key(attempt.prefix))
        except DataLoss as error:
            _log.warning("status_damaged", key=error.resource, detail=error.message)
            return None
        return status if status is not None and status.attempt == attempt.number else None

    def find_outcome(self, attempt: Attempt) -> Outcome | None:
        """Return how an attempt ended, or None if no outcome is saved.

        Raises:
            DataLoss: the document is damaged.
        """
        return self._read(Outcome, worker_protocol.outcome_key(attempt.prefix, attempt.number))

    def next_number(self, current: Attempt) -> int:
        """Return the number of the next attempt, higher than that of the current attempt and of every saved outcome."""
        keys = self._store.list(f"{worker_protocol.outcomes_prefix(current.prefix)}/")
        stems = (key.rpartition("/")[2].partition(".")[0] for key in keys)
        return max([current.number, *(int(stem) for stem in stems if stem.isdigit())]) + 1

    def has_model(self, attempt: Attempt) -> bool:
        """Return whether the model of the attempt's training is committed."""
        return manifest.load_if_committed(self._store, attempt.model_prefix) is not None

    def save_attempt(self, attempt: Attempt) -> None:
        """Save the newest attempt at a training."""
        key = worker_protocol.attempt_key(attempt.prefix)
        document.put(self._store, key, document.encode(attempt))

    def save_status(self, attempt: Attempt, status: Status) -> None:
        """Save the newest report of an attempt's worker."""
        key = worker_protocol.status_key(attempt.prefix)
        document.put(self._store, key, document.encode(status))

    def save_outcome(self, attempt: Attempt, outcome: Outcome) -> None:
        """Save how an attempt ended."""
        key = worker_protocol.outcome_key(attempt.prefix, attempt.number)
        document.put(self._store, key, document.encode(outcome))

    def _find_undamaged(self, key: str) -> Attempt | None:
        try:
            return self._read(Attempt, key)
        except DataLoss as error:
            _log.warning("attempt_damaged", key=error.resource, detail=error.message)
            return None

    def _read(self, kind: type[T], key: str) -> T | None:
        try:
            return document.get(self._store, key, kind)
        except NotFound as error:
            if error.reason != "NO_SUCH_OBJECT":
                raise
            return None
