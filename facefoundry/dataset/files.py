"""Writes the files of a dataset. Only this module makes their folders."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["in_new_folder", "write"]


def in_new_folder(path: Path) -> Path:
    """Make the folder that a file will lie in, and return the file's path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write(path: Path, data: bytes) -> None:
    """Write a file and its folder. Readers see the old file or the whole new one, never a part of it."""
    partial = in_new_folder(path).with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
