"""Scratch folders for the files of one call, and the error of a full disk."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from facefoundry.errors import Unavailable

__all__ = ["Scratch", "disk_full"]

_FULL = {errno.ENOSPC, errno.EDQUOT}
_RETRY_SECONDS = 10.0


def disk_full(error: BaseException) -> Unavailable | None:
    """Return the error for a write that failed because the disk is full or a quota is reached; None for other errors.

    Errors of the system and of FFmpeg are recognized.
    """
    if getattr(error, "errno", None) not in _FULL:
        return None
    return Unavailable(
        "The disk for temporary files is full. Make room there, or name another folder with FACEFOUNDRY_SCRATCH_DIR.",
        reason="SCRATCH_FULL",
        retry_after_seconds=_RETRY_SECONDS,
    )


class Scratch:
    """Scratch folders of one service, below `parent` or the system's folder for temporary files.

    Creating it removes the folders of processes that were killed.
    """

    def __init__(self, service: str, parent: Path | None) -> None:
        self._prefix = f"{service}-"
        self.parent = parent or Path(tempfile.gettempdir())
        self.parent.mkdir(parents=True, exist_ok=True)
        self._sweep()

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Provide a folder for the time of the block.

        Raises:
            Unavailable: the disk is full (SCRATCH_FULL), here or at a write within the block.
        """
        try:
            with tempfile.TemporaryDirectory(prefix=f"{self._prefix}{os.getpid()}-", dir=self.parent) as made:
                yield Path(made)
        except OSError as error:
            full = disk_full(error)
            if full is None:
                raise
            raise full from error

    def _sweep(self) -> None:
        """Remove folders whose process has ended."""
        for folder in self.parent.glob(f"{self._prefix}*"):
            owner = folder.name.removeprefix(self._prefix).partition("-")[0]
            if owner.isdigit() and (int(owner) == os.getpid() or not psutil.pid_exists(int(owner))):
                shutil.rmtree(folder, ignore_errors=True)
