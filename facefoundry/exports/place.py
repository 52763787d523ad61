"""Where an export is written: a folder, or a prefix of a bucket."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from facefoundry.dataset import files
from facefoundry.dataset.stored_dataset import DatasetPlace
from facefoundry.errors import InvalidInput, NotFound
from facefoundry.exports.record import RECORD, refuse_unsafe
from facefoundry.storage.manifest import content_type
from facefoundry.storage.store import Store

__all__ = ["BucketPlace", "ExportPlace", "FolderPlace"]

_WORK: Final = ".export"
_NO_LOCKS: Final = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class ExportPlace(ABC):
    """Where an export is written. Its paths have `/`; those of folders end with it. Many threads may use it at once.

    Each method raises InvalidInput (OUTPUT) where the disk refuses, and (EXPORT) for a path outside the place.

    Attributes:
        shown: The place for messages.
    """

    shown: str

    @abstractmethod
    def read_record(self) -> bytes | None:
        """Read `export.json`; None if there is none."""

    @abstractmethod
    def write(self, path: str, data: bytes) -> None:
        """Write a file. Readers see the old one or the complete new one."""

    @abstractmethod
    def copy(self, source: Path, path: str) -> None:
        """Write a copy of a file on this machine, as `write` does."""

    @abstractmethod
    def take(self, made: Path, path: str) -> None:
        """Move a file or a folder from the working folder to its path, in place of what is there."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Remove a file, or a folder with all in it, and folders above it that are then empty."""

    @abstractmethod
    def count(self, path: str) -> int:
        """Return how many files are there: of a file 1 or 0, of a folder all in it."""

    @abstractmethod
    def is_empty(self) -> bool:
        """Return whether nothing is there."""

    @abstractmethod
    def free(self) -> int | None:
        """Return how many bytes can be written; None if nobody can say."""

    @abstractmethod
    def lock(self) -> AbstractContextManager[None]:
        """Return a context manager that keeps the place for one run, as far as the place can.

        Raises:
            InvalidInput: another run has it (EXPORT).
        """

    @abstractmethod
    def working_folder(self) -> AbstractContextManager[Path]:
        """Return a context manager that makes a folder on this machine for the time of a run."""


class FolderPlace(ExportPlace):
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.shown = folder, str(folder)

    def read_record(self) -> bytes | None:
        """Read `export.json`."""
        if self._folder.exists() and not self._folder.is_dir():
            message = f"Expected a folder for the export. Received {self.shown}, which is a file."
            raise InvalidInput(f"{message} Choose another place.", reason="OUTPUT")
        with self._access(), suppress(FileNotFoundError):
            return (self._folder / RECORD).read_bytes()
        return None

    def write(self, path: str, data: bytes) -> None:
        """Write a file."""
        with self._access():
            files.write(self._inside(path), data)

    def copy(self, source: Path, path: str) -> None:
        """Write a copy of a file."""
        with self._access():
            target = files.in_new_folder(self._inside(path))
            partial = target.with_name(f".{target.name}.partial")
            try:
                shutil.copyfile(source, partial)
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)

    def take(self, made: Path, path: str) -> None:
        """Put a file or folder to its path."""
        with self._access():
            target = files.in_new_folder(self._inside(path))
            if made.is_dir() and target.is_dir():
                shutil.rmtree(target)
            made.replace(target)

    def remove(self, path: str) -> None:
        """Remove a file or folder."""
        target = self._inside(path)
        with self._access(), suppress(FileNotFoundError):
            shutil.rmtree(target) if path.endswith("/") else target.unlink()
        for above in target.relative_to(self._folder).parents[:-1]:
            try:
                (self._folder / above).rmdir()
            except OSError:  # it is not empty, or another thread has removed it
                return

    def count(self, path: str) -> int:
        """Return how many files are there."""
        target = self._inside(path)
        return sum(len(names) for _, _, names in os.walk(target)) if path.endswith("/") else int(target.is_file())

    def is_empty(self) -> bool:
        """Return whether nothing is there."""
        with self._access():
            return not self._folder.is_dir() or all(path.name == _WORK for path in self._folder.iterdir())

    def free(self) -> int | None:
        """Return how many bytes can be written, if it is known."""
        absolute = self._folder.absolute()
        return shutil.disk_usage(next(path for path in (absolute, *absolute.parents) if path.exists())).free

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder itself, so that no file is left. A file system without locks has none."""
        with self._access():
            files.make_folder(self._folder)
            opened = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                message = f"Expected no other export to {self.shown} at the same time. One runs. Wait until it ends, "
                raise InvalidInput(f"{message}or choose another place.", reason="EXPORT") from error
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
            yield
        finally:
            os.close(opened)

    @contextmanager
    def working_folder(self) -> Iterator[Path]:
        """Make a folder on the same disk, so that files are moved and not copied."""
        folder = self._folder / _WORK
        with self._access():
            shutil.rmtree(folder, ignore_errors=True)
            files.make_folder(folder)
        try:
            yield folder.resolve()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _inside(self, path: str) -> Path:
        """Return the file or folder of a path, and refuse one outside, also through a link in the export."""
        refuse_unsafe(path, self.shown)
        target = self._folder / path
        if not target.parent.resolve().is_relative_to(self._folder.resolve()):
            message = f"Expected {target} to lie in {self.shown}. A link leads out of it. Remove the link."
            raise InvalidInput(message, reason="EXPORT")
        return target

    @contextmanager
    def _access(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InvalidInput(
                f"Cannot read or write {error.filename or self.shown}: {error.strerror}. Check the permissions and the "
                "free space, or choose another place. The same command continues the export.",
                reason="OUTPUT",
            ) from error


class BucketPlace(ExportPlace):
    """A prefix of a bucket.

    Args:
        store: The store, with keys that may write there.
        place: The prefix.
    """

    def __init__(self, store: Store, place: DatasetPlace) -> None:
        self._store, self._place, self.shown = store.in_bucket(place.bucket), place, place.uri

    def read_record(self) -> bytes | None:
        """Read `export.json`."""
        try:
            return self._store.get_bytes(self._place.key(RECORD))
        except NotFound:
            return None

    def write(self, path: str, data: bytes) -> None:
        """Write a file."""
        self._store.put_bytes(self._place.key(path), data, content_type(path))

    def copy(self, source: Path, path: str) -> None:
        """Write a copy of a file."""
        self._store.put_file(self._place.key(path), source, content_type(path))

    def take(self, made: Path, path: str) -> None:
        """Put a file or folder to its path."""
        if not made.is_dir():
            self.copy(made, path)
            return
        here = {item.relative_to(made).as_posix(): item for item in made.rglob("*") if item.is_file()}
        for name, item in here.items():
            self.copy(item, f"{path}{name}")
        start = self._place.key(path)
        self._store.delete(key for key in list(self._store.list(start)) if key.removeprefix(start) not in here)

    def remove(self, path: str) -> None:
        """Remove a file or folder."""
        key = self._place.key(path)
        self._store.delete(list(self._store.list(key)) if path.endswith("/") else [key])

    def count(self, path: str) -> int:
        """Return how many files are there."""
        key = self._place.key(path)
        return sum(1 for _ in self._store.list(key)) if path.endswith("/") else int(self._store.exists(key))

    def is_empty(self) -> bool:
        """Return whether nothing is there."""
        return not self._store.objects(self._place.key(""), limit=1)

    def free(self) -> int | None:
        """Return how many bytes can be written, if it is known."""
        return None

    def lock(self) -> AbstractContextManager[None]:
        """Keep nothing: a bucket has no locks."""
        return nullcontext()

    @contextmanager
    def working_folder(self) -> Iterator[Path]:
        """Make a temporary folder."""
        with TemporaryDirectory(prefix="export-") as folder:
            yield Path(folder).resolve()
