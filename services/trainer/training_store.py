"""Reads and writes the documents of trainings in the bucket: attempts, status reports and outcomes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from facefoundry.errors import DataLoss, NotFound
from facefoundry.storage import document, manifest
from facefoundry.storage.store import Store
from facefoundry.telemetry import logger
from services.trainer import worker_protocol
from services.trainer.worker_protocol import Attempt, Outcome, Status

__all__ = ["DamagedTraining", "TrainingStore"]

_ATTEMPT, _LABELS = "/attempt.json", "/labels/"
_LABEL = ".txt"  # the label ".." alone would be no valid end of a key
_log = logger(__name__)

T = TypeVar("T", Attempt, Status, Outcome)


@dataclass(frozen=True)
class DamagedTraining:
    """A training whose newest attempt cannot be read.

    Attributes:
        prefix: Prefix of the training.
        error: Says which document is damaged, and how.
    """

    prefix: str
    error: DataLoss


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
        key = worker_protocol.attempt_key(prefix)
        attempt = self._read(Attempt, key)
        if attempt is not None and attempt.prefix != prefix:
            message = f"{key} is damaged. Expected an attempt at {prefix}. Received one at {attempt.prefix}."
            raise DataLoss(message, reason="BAD_DOCUMENT", resource=key)
        return attempt

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

    def find_all(self) -> dict[str, list[str]]:
        """Return the prefixes of all trainings with their labels, sorted."""
        found = sorted(self._store.list("trainings/"))
        trainings: dict[str, list[str]] = {key.removesuffix(_ATTEMPT): [] for key in found if key.endswith(_ATTEMPT)}
        for key in found:
            prefix, labels, label = key.partition(_LABELS)
            if labels and prefix in trainings:
                trainings[prefix].append(label.removesuffix(_LABEL))
        return trainings

    def load_all(self, prefixes: Iterable[str], pool: ThreadPoolExecutor) -> Iterator[Attempt | DamagedTraining]:
        """Return the newest attempt at each training, or the error of a damaged one.

        Args:
            prefixes: The trainings.
            pool: Threads that read the documents.
        """
        return (attempt for attempt in pool.map(self._find_or_error, prefixes) if attempt is not None)

    def labels(self, prefix: str) -> list[str]:
        """Return the labels of a training, sorted."""
        keys = self._store.list(prefix + _LABELS)
        return sorted(key.removeprefix(prefix + _LABELS).removesuffix(_LABEL) for key in keys)

    def save_label(self, prefix: str, label: str) -> None:
        """Save a label of a training. Each is an object of its own, so replicas lose none of each other's."""
        self._store.put_bytes(f"{prefix}{_LABELS}{label}{_LABEL}", label.encode(), "text/plain")

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

    def _find_or_error(self, prefix: str) -> Attempt | DamagedTraining | None:
        try:
            return self.find(prefix)
        except DataLoss as error:
            _log.warning("attempt_damaged", key=error.resource, detail=error.message)
            return DamagedTraining(prefix, error)

    def _read(self, kind: type[T], key: str) -> T | None:
        try:
            return document.get(self._store, key, kind)
        except NotFound as error:
            if error.reason != "NO_SUCH_OBJECT":
                raise
            return None
