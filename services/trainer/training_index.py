"""The index of trainings in the bucket: their order by time, for all of them and for each label.

An entry is an object whose key is all that it says: `trainings/index/all/<time>-<digest>`, and for each label
`trainings/index/labels/<label>.txt/<time>-<digest>`. The time is that of the newest attempt, and keys in alphabetical
order are those of the newest trainings first. One listing of keys is therefore one page, however many trainings there
are.

An entry is written before the attempt that it is about, so no attempt is missing from the index. It is emptied, because
the trainer may not delete objects, once a newer attempt is saved. Readers skip empty entries, and those whose time is
not that of the newest attempt: their writer was interrupted, or is about to save the attempt.

The content of an entry is a random text. All entries of a training get a new one after its labels have changed, so a
reader that knows the entity tag of an entry knows whether labels that it has read before are still all of them.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from facefoundry.storage import keys
from facefoundry.storage.store import Store
from services.trainer.worker_protocol import Attempt

__all__ = ["Entry", "TrainingIndex", "entry_name"]

_INDEX = "trainings/index"
_NAME = re.compile(r"[0-9]{17}-[0-9a-f]{40}")
_START = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LATEST = 10**16  # microseconds: the year 2286


@dataclass(frozen=True)
class Entry:
    """An entry of the index.

    Attributes:
        name: `<time>-<digest>`; names in alphabetical order are those of the newest trainings first.
        version: A text that is another one after the training's labels have changed.
        is_skipped: Whether readers skip it: a newer attempt has replaced it, or another program wrote it.
    """

    name: str
    version: str
    is_skipped: bool

    @property
    def prefix(self) -> str:
        """Prefix of the training."""
        return keys.training(self.name.rpartition("-")[2])


def entry_name(attempt: Attempt) -> str:
    """Return the name of the entry of an attempt's training while the attempt is the newest one."""
    microseconds = (datetime.fromisoformat(attempt.created) - _START) // timedelta(microseconds=1)
    return f"{_LATEST - microseconds:017d}-{attempt.training}"


class TrainingIndex:
    """Writes and reads the index of trainings.

    Args:
        store: The object store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, attempt: Attempt, labels: Iterable[str]) -> None:
        """Write the entries of a training, for all trainings and for each label."""
        self._write(attempt, labels, secrets.token_hex(8).encode())

    def empty(self, attempt: Attempt, labels: Iterable[str]) -> None:
        """Empty the entries of an attempt that is no longer the newest one."""
        self._write(attempt, labels, b"")

    def has(self, attempt: Attempt, label: str) -> bool:
        """Return whether a training has an entry for a label."""
        return self._store.exists(f"{_folder(label)}/{entry_name(attempt)}")

    def page(self, label: str, after: str, limit: int) -> Sequence[Entry]:
        """Return the first entries whose names come after a name, in order, by one request.

        Args:
            label: Label of the trainings; empty for all trainings.
            after: The name; empty for the first entries.
            limit: Largest number of entries, 1 to 1000.
        """
        folder = _folder(label)
        found = self._store.objects(f"{folder}/", limit=limit, after=f"{folder}/{after}")
        names = [item.key.removeprefix(f"{folder}/") for item in found]
        return [
            Entry(name, item.etag, item.size == 0 or not _NAME.fullmatch(name))
            for name, item in zip(names, found, strict=True)
        ]

    def _write(self, attempt: Attempt, labels: Iterable[str], content: bytes) -> None:
        for label in ("", *labels):
            self._store.put_bytes(f"{_folder(label)}/{entry_name(attempt)}", content, "text/plain")


def _folder(label: str) -> str:
    return f"{_INDEX}/labels/{label}.txt" if label else f"{_INDEX}/all"
