"""Folders for the files of one call, sweeping up after processes that were killed, and what a full disk is called."""

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
    """Our error for a failed write to a full disk or over a quota, of the system's or of FFmpeg's; None for others."""
    if getattr(error, "errno", None) not in _FULL:
        return None
    return Unavailable(
        "The disk for temporary files is full. Make room there, or name another folder with FACEFOUNDRY_SCRATCH_DIR.",
        reason="SCRATCH_FULL",
        retry_after_seconds=_RETRY_SECONDS,
    )


class Scratch:
    """Scratch folders of one service below `parent`, or below the system's folder for temporary files."""

    def __init__(self, service: str, parent: Path | None) -> None:
        self._prefix = f"{service}-"
        self.parent = parent or Path(tempfile.gettempdir())
        self.parent.mkdir(parents=True, exist_ok=True)
        self._sweep()

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A folder for the time of the block.

        Raises:
            Unavailable: the disk is full (SCRATCH_FULL), also when the block finds that.
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
        """Remove folders whose process is gone."""
        for folder in self.parent.glob(f"{self._prefix}*"):
            owner = folder.name.removeprefix(self._prefix).partition("-")[0]
            if owner.isdigit() and (int(owner) == os.getpid() or not psutil.pid_exists(int(owner))):
                shutil.rmtree(folder, ignore_errors=True)
