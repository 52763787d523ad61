"""Reads and writes the documents of trainings in the bucket: attempts, status reports and outcomes."""

from __future__ import annotations

from facefoundry.errors import DataLoss, NotFound
from facefoundry.storage import document, manifest
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.store import Store
from facefoundry.telemetry import logger
from services.trainer import signing, worker_protocol
from services.trainer.training_index import TrainingIndex, entry_name
from services.trainer.worker_protocol import Attempt, Outcome, Status

__all__ = ["TrainingStore"]

_LABELS = "/labels/"
_LABEL = ".txt"  # the label ".." alone would be no valid end of a key
_MAX_LABELS = 1000
_log = logger(__name__)


class TrainingStore:
    """Reads and writes the documents of trainings.

    Attributes:
        index: The order of the trainings.

    Args:
        store: The object store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.index = TrainingIndex(store)

    def find(self, prefix: str) -> Attempt | None:
        """Return the newest attempt at a training, or None if the training was never started.

        Raises:
            DataLoss: the document is damaged.
        """
        key = worker_protocol.attempt_key(prefix)
        attempt = document.find(self._store, key, Attempt)
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

    def labels(self, prefix: str) -> list[str]:
        """Return the labels of a training, sorted; of more than 1,000 labels only that many."""
        found = self._store.objects(prefix + _LABELS, limit=_MAX_LABELS)
        return sorted(item.key.removeprefix(prefix + _LABELS).removesuffix(_LABEL) for item in found)

    def save_label(self, prefix: str, label: str) -> None:
        """Save a label of a training where it is missing: the label itself, and the training's entries in the index.

        Each label is an object of its own, so replicas lose none of each other's.

        Args:
            prefix: Prefix of the training.
            label: The label; empty for the entry among all trainings alone.

        Raises:
            NotFound: the training was never started.
            DataLoss: its newest attempt is damaged.
        """
        attempt, key = self.load(prefix), f"{prefix}{_LABELS}{label}{_LABEL}"
        is_saved = not label or self._store.exists(key)
        if is_saved and all(self.index.has(attempt, each) for each in {"", label}):
            return
        if not is_saved:
            self._store.put_bytes(key, label.encode(), "text/plain")
        # The attempt is read after the label was saved: who replaces the attempt later reads the label.
        self.index.put(self.load(prefix), self.labels(prefix))

    def find_status(self, attempt: Attempt) -> Status | None:
        """Return the newest status report of an attempt's worker, or None if there is none or it is damaged.

        A damaged report is no error, because the worker's next report replaces it.
        """
        try:
            status = document.find(self._store, worker_protocol.status_key(attempt.prefix), Status)
        except DataLoss as error:
            _log.warning("status_damaged", key=error.resource, detail=error.message)
            return None
        return status if status is not None and status.attempt == attempt.number else None

    def find_outcome(self, attempt: Attempt) -> Outcome | None:
        """Return how an attempt ended, or None if no outcome is saved.

        Raises:
            DataLoss: the document is damaged.
        """
        return document.find(self._store, worker_protocol.outcome_key(attempt.prefix, attempt.number), Outcome)

    def next_number(self, prefix: str, current: int = 0) -> int:
        """Return the number of a training's next attempt, higher than that of every saved outcome.

        Args:
            prefix: Prefix of the training.
            current: Number of the newest attempt, which the next number exceeds too; 0 for none.
        """
        keys = self._store.list(f"{worker_protocol.outcomes_prefix(prefix)}/")
        stems = (key.rpartition("/")[2].partition(".")[0] for key in keys)
        return max([current, *(int(stem) for stem in stems if stem.isdigit())]) + 1

    def has_model(self, attempt: Attempt) -> bool:
        """Return whether a worker of the attempt's training has committed its model."""
        return self._find_model(attempt) is not None

    def seconds(self, attempt: Attempt) -> float:
        """Return how long the workers of a committed model trained, seconds; 0 if its manifest does not say."""
        model = self._find_model(attempt)
        seconds = model.info.get("seconds", 0.0) if model is not None else 0.0
        return float(seconds) if isinstance(seconds, int | float) and 0 <= seconds < float("inf") else 0.0

    def save_attempt(self, attempt: Attempt, replaced: Attempt | None = None) -> None:
        """Save the newest attempt at a training, and before that make the signing key of the training.

        Args:
            attempt: The attempt.
            replaced: The attempt that was the newest one; None for none.
        """
        data = document.encode(attempt)
        signing.make(self._store, attempt.training)
        self.index.put(attempt, ())
        document.put(self._store, worker_protocol.attempt_key(attempt.prefix), data)
        labels = self.labels(attempt.prefix)
        if labels:
            self.index.put(attempt, labels)
        if replaced is not None and entry_name(replaced) != entry_name(attempt):
            self.index.empty(replaced, labels)

    def save_status(self, attempt: Attempt, status: Status) -> None:
        """Save the newest report of an attempt's worker."""
        key = worker_protocol.status_key(attempt.prefix)
        document.put(self._store, key, document.encode(status))

    def save_outcome(self, attempt: Attempt, outcome: Outcome) -> None:
        """Save how an attempt ended, and before that note in the index that it ended."""
        self.index.put_end(attempt, outcome.ended)
        key = worker_protocol.outcome_key(attempt.prefix, attempt.number)
        document.put(self._store, key, document.encode(outcome))

    def _find_model(self, attempt: Attempt) -> Manifest | None:
        """Return the manifest of the model of the attempt's training; None if there is none that a worker signed."""
        prefix = attempt.model_prefix
        found = manifest.load_if_committed(self._store, prefix)
        if found is None or signing.is_signed(signing.find(self._store, attempt.training), prefix, found):
            return found
        _log.warning("model_not_signed", prefix=prefix)
        return None
