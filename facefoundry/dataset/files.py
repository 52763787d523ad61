"""Writes the files of a dataset. Only this module makes their folders."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["in_new_folder", "make_folder", "write"]


def make_folder(path: Path) -> None:
    """Make a folder and those above it, unless they exist."""
    path.mkdir(parents=True, exist_ok=True)


def in_new_folder(path: Path) -> Path:
    """Make the folder that a file will lie in, and return the file's path."""
    make_folder(path.parent)
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
