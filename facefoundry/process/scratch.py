"""Scratch folders, which hold the temporary files of one call, and the error that reports a full disk."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from facefoundry.errors import Unavailable, Unusable

__all__ = ["Scratch", "disk_full", "file_too_large", "reporting_full_disk"]

_FULL = {errno.ENOSPC, errno.EDQUOT}
_RETRY_SECONDS = 10.0


def disk_full(error: BaseException) -> Unavailable | None:
    """Return the error to raise if a write failed because of a full disk or a reached quota; None for other errors.

    Args:
        error: An error of the operating system or of FFmpeg.
    """
    if getattr(error, "errno", None) not in _FULL:
        return None
    return Unavailable(
        "The disk for temporary files is full. Free some space, or set FACEFOUNDRY_SCRATCH_DIR to another folder.",
        reason="SCRATCH_FULL",
        retry_after_seconds=_RETRY_SECONDS,
    )


def file_too_large(error: BaseException) -> Unusable | None:
    """Return the error to raise if a write would have exceeded the limit of a sandbox; None for other errors."""
    if getattr(error, "errno", None) != errno.EFBIG:
        return None
    return Unusable(
        "Working on the media made a file over the limit of a sandbox. Use a smaller input, or raise "
        "FACEFOUNDRY_SANDBOX_DISK_BYTES of the service.",
        reason="MEDIA_DISK",
    )


@contextmanager
def reporting_full_disk() -> Iterator[None]:
    """Raise `Unavailable` (SCRATCH_FULL) if a write within the block fails because of a full disk."""
    try:
        yield
    except OSError as error:
        full = disk_full(error)
        if full is None:
            raise
        raise full from error


class Scratch:
    """Makes the scratch folders of one service. Folders that its killed processes left behind are removed first.

    Args:
        service: Name of the service, the prefix of its scratch folders.
        parent: Folder for the scratch folders; by default the system's folder for temporary files.
    """

    def __init__(self, service: str, parent: Path | None) -> None:
        self._prefix = f"{service}-"
        self.parent = parent or Path(tempfile.gettempdir())
        self.parent.mkdir(parents=True, exist_ok=True)
        self._sweep()

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Make a scratch folder, and remove it after the block.

        Raises:
            Unavailable: the disk is full (SCRATCH_FULL) when the folder is made or at a write within the block.
        """
        with (
            reporting_full_disk(),
            tempfile.TemporaryDirectory(prefix=f"{self._prefix}{os.getpid()}-", dir=self.parent) as made,
        ):
            yield Path(made)

    def _sweep(self) -> None:
        """Remove scratch folders of ended processes; the number in a folder's name is the process id."""
        for folder in self.parent.glob(f"{self._prefix}*"):
            owner = folder.name.removeprefix(self._prefix).partition("-")[0]
            if owner.isdigit() and (int(owner) == os.getpid() or not psutil.pid_exists(int(owner))):
                shutil.rmtree(folder, ignore_errors=True)
