"""Uncompressed tar archives ("tars"). Equal names and contents in equal order give equal bytes.

Tars are packed and unpacked in memory, or sent as they are read; nothing is extracted to disk.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from facefoundry.errors import DataLoss

__all__ = ["ArchiveWriter", "digests", "header", "pack", "unpack"]

_BLOCK = 1 << 20


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return the bytes of a tar that contains the files, in the given order.

    Args:
        files: The content of each file, by name, in the order of the tar.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            _add(tar, name, data)
    return buffer.getvalue()


def unpack(data: bytes) -> dict[str, bytes]:
    """Return the content of each file in a tar, by name, in the order of the tar.

    Raises:
        DataLoss: the bytes are not a tar, or the tar contains something other than plain files, such as a link or a
            sparse file (BAD_ARCHIVE).
    """
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for entry in tar:
                content = tar.extractfile(entry) if entry.isreg() and not entry.issparse() else None
                if content is None or entry.size > len(data):
                    raise DataLoss(
                        f"Expected only plain files in a tar. Received {entry.name!r}.", reason="BAD_ARCHIVE"
                    )
                files[entry.name] = content.read()
    except tarfile.TarError as error:
        raise DataLoss(
            f"Expected a tar. Received {len(data)} bytes of something else: {error}.", reason="BAD_ARCHIVE"
        ) from error
    return files


def digests(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the SHA-256, 32 bytes, of each file in a tar. It is read in blocks.

    Raises:
        DataLoss: the file is no tar as `pack` makes it (BAD_ARCHIVE).
    """
    try:
        with path.open("rb") as tar:
            while (block := tar.read(tarfile.BLOCKSIZE)).strip(tarfile.NUL):
                member = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
                if member.type != tarfile.REGTYPE:
                    raise ValueError(f"{member.name!r} is no plain file")
                hashed, left = hashlib.sha256(), member.size
                while left and (data := tar.read(min(left, _BLOCK))):
                    hashed.update(data)
                    left -= len(data)
                if left:
                    raise ValueError(f"it ends within {member.name!r}")
                tar.read(-member.size % tarfile.BLOCKSIZE)
                yield member.name, hashed.digest()
    except (tarfile.HeaderError, ValueError) as error:
        raise DataLoss(f"Expected a tar of plain files in {path.name}: {error}.", reason="BAD_ARCHIVE") from error


def header(name: str, size: int) -> bytes:
    """Return the block of 512 bytes before a file in a tar. Zeros follow the file, up to a multiple of 512 bytes.

    Args:
        name: Name of the file, at most 100 bytes.
        size: Size of the file in bytes.
    """
    return _member(name, size).tobuf(tarfile.USTAR_FORMAT)


class ArchiveWriter:
    """Writes a tar to a temporary file and renames it when it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._archive = tarfile.open(self._partial, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 - closed below

    def add(self, name: str, data: bytes) -> None:
        """Append a file to the tar."""
        _add(self._archive, name, data)

    def close(self) -> Path:
        """Finish the tar and return its path."""
        self._archive.close()
        self._partial.replace(self._path)
        return self._path


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    tar.addfile(_member(name, len(data)), io.BytesIO(data))


def _member(name: str, size: int) -> tarfile.TarInfo:
    """Return a member without dates, owners or permissions."""
    member = tarfile.TarInfo(name)
    member.size = size
    return member
