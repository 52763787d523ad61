"""Uncompressed tars whose bytes depend on their members' names and contents alone."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

__all__ = ["ArchiveWriter"]


class ArchiveWriter:
    """Writes a tar beside its place and moves it there when it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._archive = tarfile.open(self._partial, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 - closed below

    def add(self, name: str, data: bytes) -> None:
        """Append a member without dates, owners or rights."""
        member = tarfile.TarInfo(name)
        member.size = len(data)
        self._archive.addfile(member, io.BytesIO(data))

    def close(self) -> Path:
        """Finish the tar and return its path."""
        self._archive.close()
        self._partial.replace(self._path)
        return self._path
