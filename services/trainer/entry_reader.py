"""Reads the trainings of index entries. A damaged document costs only its own training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from facefoundry.errors import DataLoss, Unusable
from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2
from services.trainer.training_index import Entry, entry_name
from services.trainer.training_store import TrainingStore
from services.trainer.worker_protocol import Attempt

__all__ = ["EntryReader", "Found", "rediagnosed"]

_TEXT_CHARACTERS = 4000


@dataclass(frozen=True)
class Found:
    """What is known of an entry's training.

    Attributes:
        training: Its state; STATE_DAMAGED if a document is damaged.
        attempt: Its newest attempt; None if it could not be read.
        labels: Its labels, sorted.
    """

    training: trainer_pb2.Training
    attempt: Attempt | None
    labels: Sequence[str]


class EntryReader:
    """Reads the trainings of entries. Threads may share it.

    Args:
        store: The object store.
        describe: Derives the state of a training from its newest attempt.
    """

    def __init__(self, store: Store, describe: Callable[[Attempt], trainer_pb2.Training]) -> None:
        self._store = store
        self._documents = TrainingStore(store)
        self._describe = describe

    def read(self, entry: Entry, known: Found | None = None) -> Found | None:
        """Read the training of an entry; return None if the entry is not that of its newest attempt.

        Args:
            entry: The entry.
            known: What was read of the same entry before: its attempt and labels are not read again.
        """
        attempt = known.attempt if known is not None else None
        try:
            if attempt is None:
                attempt = self._documents.find(entry.prefix)
                if attempt is None or entry_name(attempt) != entry.name:
                    return None
            training = self._describe(attempt)
        except (DataLoss, Unusable) as error:
            pair_id = attempt.pair_id if attempt is not None else ""
            training = trainer_pb2.Training(uri=self._store.uri(entry.prefix), pair_id=pair_id)
            training.state = trainer_pb2.Training.STATE_DAMAGED
            training.failure.reason, training.failure.message = error.reason, error.message
        for text in (training.failure, training.diagnosis):
            if text.message:  # setting it would also set the field that it is in
                text.message = _shortened(text.message)
        labels = known.labels if known is not None else self._documents.labels(entry.prefix)
        training.datasets.extend(labels)
        return Found(training, attempt, labels)


def rediagnosed(found: Found, message: str) -> Found:
    """Return a copy in which the diagnosis of the training has another message."""
    training = trainer_pb2.Training()
    training.CopyFrom(found.training)
    training.diagnosis.message = _shortened(message)
    return replace(found, training=training)


def _shortened(text: str) -> str:
    return f"{text[:_TEXT_CHARACTERS]} ..." if len(text) > _TEXT_CHARACTERS else text
