"""The index of trainings in the bucket: their order by time, for all of them and for each label.

An entry is an object whose key is all that it says: `trainings/index/all/<time>-<digest>`, and for each label
`trainings/index/labels/<label>.txt/<time>-<digest>`. The time is that of the newest attempt, and keys in alphabetical
order are those of the newest trainings first. One listing of keys is therefore one page, however many trainings there
are.

An entry is written before the attempt that it is about, so no attempt is missing from the index, except those of
versions that had none: the sweep and the next start of the training write their entries. An entry is emptied, because
the trainer may not delete objects, once a newer attempt is saved. Readers skip empty entries, and those whose time is
not that of the newest attempt: their writer was interrupted, or is about to save the attempt.

The ends of attempts are in the same order, below `trainings/index/ended/`: `<time>-<digest>-<number>`.

The content of an entry is a random text. All entries of a training get a new one after its labels have changed, so a
reader that knows the entity tag of an entry knows whether labels that it has read before are still all of them.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from facefoundry.storage import keys
from facefoundry.storage.store import Store
from services.trainer.worker_protocol import Attempt

__all__ = ["EndedAttempt", "Entry", "TrainingIndex", "entry_name"]

_INDEX = "trainings/index"
_ENDED = f"{_INDEX}/ended"
_NAME = re.compile(r"[0-9]{17}-[0-9a-f]{40}")
_ENDED_NAME = re.compile(r"(?P<time>[0-9]{17})-(?P<training>[0-9a-f]{40})-(?P<number>[1-9][0-9]{0,14})")
_LISTED = 1000
_START = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LATEST = 10**16  # microseconds: the year 2286


@dataclass(frozen=True)
class Entry:
    """An entry of the index.

    Attributes:
        name: `<time>-<digest>`; names in alphabetical order are those of the newest trainings first.
        version: A text that is another one after the training's labels have changed.
        is_skipped: Whether readers skip it: a newer attempt has replaced it, or another program wrote it.
        written: When it was written, seconds since 1970.
    """

    name: str
    version: str
    is_skipped: bool
    written: float

    @property
    def prefix(self) -> str:
        """Prefix of the training."""
        return keys.training(self.name.rpartition("-")[2])


@dataclass(frozen=True)
class EndedAttempt:
    """An attempt of which the outcome is saved, or is about to be.

    Attributes:
        training: Digest of the training.
        number: Number of the attempt.
    """

    training: str
    number: int


def entry_name(attempt: Attempt) -> str:
    """Return the name of the entry of an attempt's training while the attempt is the newest one."""
    return f"{_descending(datetime.fromisoformat(attempt.created))}-{attempt.training}"


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
        """Return whether a training has an entry for a label; empty for the entry among all trainings."""
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
            Entry(
                name,
                item.etag,
                item.size == 0 or not _NAME.fullmatch(name),
                item.modified.timestamp() if item.modified else 0.0,
            )
            for name, item in zip(names, found, strict=True)
        ]

    def put_end(self, attempt: Attempt, moment: str) -> None:
        """Note that an attempt ended at a UTC time, ISO 8601."""
        time = _descending(datetime.fromisoformat(moment))
        self._store.put_bytes(f"{_ENDED}/{time}-{attempt.training}-{attempt.number}", b"", "text/plain")

    def ended(self, since: datetime) -> Iterator[EndedAttempt]:
        """Yield the attempts that ended at or after a time, the newest first."""
        last, after = f"{_ENDED}/{_descending(since)}.", f"{_ENDED}/"
        while found := self._store.objects(f"{_ENDED}/", limit=_LISTED, after=after):
            for item in found:
                if item.key > last:
                    return
                if match := _ENDED_NAME.fullmatch(item.key.removeprefix(f"{_ENDED}/")):
                    yield EndedAttempt(match["training"], int(match["number"]))
            after = found[-1].key

    def _write(self, attempt: Attempt, labels: Iterable[str], content: bytes) -> None:
        for label in ("", *labels):
            self._store.put_bytes(f"{_folder(label)}/{entry_name(attempt)}", content, "text/plain")


def _descending(moment: datetime) -> str:
    """Return a text that is alphabetically before those of earlier times."""
    return f"{_LATEST - (moment - _START) // timedelta(microseconds=1):017d}"


def _folder(label: str) -> str:
    return f"{_INDEX}/labels/{label}.txt" if label else f"{_INDEX}/all"
