"""What the bucket says of trainings: requests, reports and records. It decides nothing and knows no backend."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from facefoundry.errors import DataLoss, InvalidInput, NotFound
from facefoundry.storage import manifest
from facefoundry.storage.store import Store
from facefoundry.telemetry import logger
from services.trainer import worker_protocol
from services.trainer.worker_protocol import Attempt, Outcome, Status

__all__ = ["TrainingStore"]

_log = logger(__name__)

T = TypeVar("T", Attempt, Status, Outcome)


class TrainingStore:
    """Reads and writes the small objects of trainings.

    Args:
        store: The object store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, prefix: str) -> Attempt | None:
        """The newest attempt at a training, or nothing when nobody asked for it."""
        return self._read(Attempt, worker_protocol.attempt_key(prefix))

    def present(self, prefix: str) -> Attempt:
        """The newest attempt at a training.

        Raises:
            NotFound: there is none.
        """
        request = self.find(prefix)
        if request is None:
            uri = self._store.uri(prefix)
            raise NotFound(f"There is no training {uri}.", reason="NO_SUCH_TRAINING", resource=uri)
        return request

    def all(self, pool: ThreadPoolExecutor) -> Iterator[Attempt]:
        """The newest attempts at all trainings; one that is damaged does not hide the others."""
        keys = [key for key in self._store.list("trainings/") if key.endswith("/attempt.json")]
        return (request for request in pool.map(self._listed, keys) if request is not None)

    def status(self, request: Attempt) -> Status | None:
        """The newest report of this attempt's worker; the next one replaces a damaged one."""
        try:
            status = self._read(Status, worker_protocol.status_key(request.prefix))
        except DataLoss as error:
            _log.warning("status_unreadable", key=error.resource, detail=error.message)
            return None
        return status if status is not None and status.attempt == request.attempt else None

    def record(self, request: Attempt) -> Outcome | None:
        """How an attempt ended, if that is known."""
        return self._read(Outcome, worker_protocol.outcome_key(request.prefix, request.attempt))

    def next_attempt(self, present: Attempt) -> int:
        """Number of the first attempt that has no record yet."""
        names = (
            key.rpartition("/")[2] for key in self._store.list(f"{worker_protocol.outcomes_prefix(present.prefix)}/")
        )
        recorded = [int(number) for name in names if (number := name.partition(".")[0]).isdigit()]
        return max([present.attempt, *recorded]) + 1

    def has_model(self, request: Attempt) -> bool:
        """Whether the model is committed."""
        return manifest.load_if_committed(self._store, request.model_prefix) is not None

    def write_request(self, request: Attempt) -> None:
        """Ask for an attempt."""
        key = worker_protocol.attempt_key(request.prefix)
        self._store.put_bytes(key, worker_protocol.to_json(request), "application/json")

    def write_record(self, request: Attempt, record: Outcome) -> None:
        """Note how an attempt ended."""
        key = worker_protocol.outcome_key(request.prefix, request.attempt)
        self._store.put_bytes(key, worker_protocol.to_json(record), "application/json")

    def _listed(self, key: str) -> Attempt | None:
        try:
            return self._read(Attempt, key)
        except DataLoss as error:
            _log.warning("request_unreadable", key=error.resource, detail=error.message)
            return None

    def _read(self, kind: type[T], key: str) -> T | None:
        try:
            return self._store.get_parsed(key, lambda data: worker_protocol.from_json(kind, data))
        except NotFound as error:
            if error.reason != "NO_SUCH_OBJECT":
                raise
            return None
        except InvalidInput as error:
            raise DataLoss(f"{key} is damaged. {error.message}", reason="BAD_RECORD", resource=key) from error
