"""Remembers the SHA-256 of a dataset's files, so that large ones are not read again to tell the dataset's version."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from facefoundry import codec
from facefoundry.dataset import files
from facefoundry.dataset.layout import Layout
from facefoundry.errors import DataLoss

__all__ = ["FileDigests", "sha256_of"]

_NAME: Final = "digests.json"


@dataclass(frozen=True)
class _Known:
    """Size, time of the last change in nanoseconds, and SHA-256 of a file."""

    size: int
    changed: int
    sha256: str


@dataclass
class _Document:
    """The file: what is known, by path relative to the dataset."""

    files: dict[str, _Known] = field(default_factory=dict)


class FileDigests:
    """The digests of the files of one dataset. A file that has another size or time is read again.

    Many threads may use it at once.

    Args:
        layout: Names the folder of the run record, in which the digests are kept.
        keep: Whether `save` writes them.
    """

    def __init__(self, layout: Layout, *, keep: bool = True) -> None:
        self._keep = keep
        self._root, self._path = layout.root, layout.run_folder() / _NAME
        self._lock = threading.Lock()
        self._known: dict[str, _Known] | None = None
        self._is_changed = False

    def learn(self, digests: Mapping[Path, str]) -> None:
        """Take the SHA-256 of files whose bytes were just verified. Those that are gone are left out."""
        for path, sha256 in digests.items():
            with suppress(FileNotFoundError):
                stat = path.stat()
                self._set(path, _Known(stat.st_size, stat.st_mtime_ns, sha256))

    def of(self, path: Path) -> str:
        """Return the SHA-256 of a file. It is read unless it is known.

        Raises:
            OSError: the file cannot be read.
        """
        stat = path.stat()
        with self._lock:
            known = self._load().get(self._relative(path))
        if known and (known.size, known.changed) == (stat.st_size, stat.st_mtime_ns):
            return known.sha256
        sha256 = sha256_of(path)
        self._set(path, _Known(stat.st_size, stat.st_mtime_ns, sha256))
        return sha256

    def forget_missing(self) -> None:
        """Forget files that are gone, and write what is left."""
        with self._lock:
            known = self._load()
            self._known = {path: found for path, found in known.items() if (self._root / path).is_file()}
            self._is_changed = self._is_changed or len(self._known) < len(known)
        self.save()

    def save(self) -> None:
        """Write what is known beside the run record, unless nothing is new or the folder cannot be written."""
        with self._lock, suppress(OSError):
            if self._keep and self._is_changed:
                files.write(self._path, codec.to_json(_Document(dict(sorted(self._load().items())))))
                self._is_changed = False

    def _set(self, path: Path, known: _Known) -> None:
        with self._lock:
            self._load()[self._relative(path)] = known
            self._is_changed = True

    def _load(self) -> dict[str, _Known]:
        if self._known is None:
            self._known = {}
            with suppress(OSError, DataLoss):  # a damaged file costs time only
                self._known = codec.from_json(_Document, self._path.read_bytes()).files
        return self._known

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
