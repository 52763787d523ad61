"""The file that names the fakes that gates left out of a dataset, beside its filelist."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from facefoundry import codec
from facefoundry.dataset import files
from facefoundry.dataset.gates import FailedGate
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.record import FakeRecord
from facefoundry.errors import DataLoss

__all__ = ["DroppedFake", "DroppedFakes", "dropped_file", "read_dropped"]

_NAME: Final = "dropped.json"


@dataclass(frozen=True)
class DroppedFake:
    """A fake that is no part of the dataset.

    Attributes:
        id: `<target>_<source>`.
        faults: Why, as ends of sentences that begin with the id.
        failed: The gates that it did not pass.
    """

    id: str
    faults: tuple[str, ...]
    failed: tuple[FailedGate, ...]


class DroppedFakes:
    """The dropped fakes of a dataset, kept in its file. Many threads may use it at once.

    What an earlier run wrote stays until a run takes or drops the same fake, since a pair that fails keeps its files.

    Args:
        layout: Names the path of the file.
    """

    def __init__(self, layout: Layout) -> None:
        self._path, self._lock = dropped_file(layout), threading.Lock()
        self._fakes: dict[str, DroppedFake] | None = None

    def begin(self, data: bytes | None) -> None:
        """Begin with the file of a dataset that is elsewhere; None if it has none."""
        with self._lock:
            if data is None:
                self._path.unlink(missing_ok=True)
            else:
                files.write(self._path, data)
            self._fakes = None

    def add(self, fake: FakeRecord) -> None:
        """Name a fake. Call this before its files are removed."""
        with self._lock:
            self._save(self._load() | {fake.id: DroppedFake(fake.id, tuple(fake.faults), tuple(fake.failed))})

    def remove(self, fake: str) -> None:
        """Name a fake no longer. Call this once all its files are there."""
        with self._lock:
            found = self._load()
            if fake in found:
                self._save({name: entry for name, entry in found.items() if name != fake})

    def _load(self) -> dict[str, DroppedFake]:
        if self._fakes is None:
            self._fakes = {fake.id: fake for fake in read_dropped(self._path)}
        return self._fakes

    def _save(self, fakes: dict[str, DroppedFake]) -> None:
        """Write the file; remove it if it would be empty."""
        if fakes:
            values = [codec.to_values(fakes[name]) for name in sorted(fakes)]
            files.write(self._path, (json.dumps(values, indent=1) + "\n").encode())
        else:
            self._path.unlink(missing_ok=True)
        self._fakes = fakes


def dropped_file(layout: Layout) -> Path:
    """Return the path of the file."""
    return layout.filelist().parent / _NAME


def read_dropped(path: Path) -> list[DroppedFake]:
    """Read the file; without one, no fake was dropped.

    Raises:
        DataLoss: it is damaged (BAD_DOCUMENT).
    """
    if not path.is_file():
        return []
    try:
        entries = json.loads(path.read_bytes())
        if not isinstance(entries, list):
            raise TypeError("no list")
        return [codec.from_values(DroppedFake, entry) for entry in entries]
    except (DataLoss, TypeError, ValueError) as error:
        message = f"Expected a list of fakes that gates left out in {path}. Received another text: {error}. Remove the "
        message += "file, and run the dataset or fetch it again."
        raise DataLoss(message, reason="BAD_DOCUMENT") from error
