"""Folders for the files of one call, and sweeping up after processes that were killed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

__all__ = ["Scratch"]


class Scratch:
    """Scratch folders of one service below `parent`, or below the system's folder for temporary files."""

    def __init__(self, service: str, parent: Path | None) -> None:
        self._prefix = f"{service}-"
        self.parent = parent or Path(tempfile.gettempdir())
        self.parent.mkdir(parents=True, exist_ok=True)
        self._sweep()

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A folder for the time of the block."""
        with tempfile.TemporaryDirectory(prefix=f"{self._prefix}{os.getpid()}-", dir=self.parent) as made:
            yield Path(made)

    def _sweep(self) -> None:
        """Remove folders whose process is gone."""
        for folder in self.parent.glob(f"{self._prefix}*"):
            owner = folder.name.removeprefix(self._prefix).partition("-")[0]
            if owner.isdigit() and (int(owner) == os.getpid() or not psutil.pid_exists(int(owner))):
                shutil.rmtree(folder, ignore_errors=True)
