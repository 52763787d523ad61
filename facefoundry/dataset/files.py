"""Writes the files of a dataset, and makes their folders."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["in_new_folder", "make_folder", "write"]


def make_folder(path: Path) -> None:
    """Make a folder and the folders above it, unless they exist."""
    path.mkdir(parents=True, exist_ok=True)


def in_new_folder(path: Path) -> Path:
    """Make the folder that will contain a file, and return the file's path."""
    make_folder(path.parent)
    return path


def write(path: Path, data: bytes) -> None:
    """Write a file, and make its folder if necessary. Readers see the old file or the complete new one."""
    partial = in_new_folder(path).with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
