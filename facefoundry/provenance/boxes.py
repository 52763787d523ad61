"""The boxes of an MP4 file: finds the C2PA manifest, and removes it so that the file is what it was before signing.

Signing inserts a box after `ftyp`, into files of several hashed parts also boxes with their hashes, and adds the sizes
to the chunk offsets in `stco` and `co64`. The rest stays.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from facefoundry.errors import Unusable

__all__ = ["Box", "manifest_of", "strip"]

_C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
"""The UUID of the box with the manifest (C2PA 2.x, BMFF-based assets)."""
_FOLDERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl"}
_TABLES = {b"stco": ">I", b"co64": ">Q"}
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Box:
    """A box of a file: its type, and its first byte and size in the file."""

    kind: bytes
    start: int
    size: int

    @property
    def end(self) -> int:
        """The first byte after the box."""
        return self.start + self.size


def manifest_of(path: Path) -> Box | None:
    """Return the box with the C2PA manifest; None if the file has none.

    Raises:
        Unusable: the file is no MP4 file, or it is cut off (NOT_MP4).
    """
    with path.open("rb") as file:
        return next(iter(_inserted(file, path)), None)


def strip(signed: Path, plain: Path) -> None:
    """Write a file without its C2PA manifest. The result has the bytes that the file had before it was signed.

    Args:
        signed: The signed MP4 file. One without a manifest is copied.
        plain: The file to write.

    Raises:
        Unusable: it is no MP4 file (NOT_MP4).
    """
    with signed.open("rb") as source, plain.open("wb") as sink:
        removed = _inserted(source, signed)
        for box in _boxes(source, 0, signed.stat().st_size, signed):
            if box in removed:
                continue
            source.seek(box.start)
            if box.kind == b"moov":
                moov = bytearray(source.read(box.size))
                _shift(moov, 0, len(moov), removed)
                sink.write(moov)
            else:
                _copy(source, sink, box.size)


def _inserted(file: BinaryIO, path: Path) -> list[Box]:
    """Return the boxes that signing inserted, the manifest first."""
    found = []
    for box in _boxes(file, 0, path.stat().st_size, path):
        file.seek(box.start + 8)
        if box.kind == b"uuid" and file.read(len(_C2PA)) == _C2PA:
            found.append(box)
    return found


def _shift(data: bytearray, start: int, end: int, removed: Sequence[Box]) -> None:
    """Subtract the sizes of removed boxes from the chunk offsets after them, in the boxes of a range of bytes."""
    while start + 8 <= end:
        size, kind = int.from_bytes(data[start : start + 4], "big"), bytes(data[start + 4 : start + 8])
        if size < 8 or start + size > end:
            return
        if kind in _FOLDERS:
            _shift(data, start + 8, start + size, removed)
        elif kind in _TABLES:
            width = struct.calcsize(_TABLES[kind])
            count = int.from_bytes(data[start + 12 : start + 16], "big")
            for place in range(start + 16, min(start + 16 + count * width, start + size), width):
                (offset,) = struct.unpack_from(_TABLES[kind], data, place)
                before = sum(box.size for box in removed if box.end <= offset)
                struct.pack_into(_TABLES[kind], data, place, offset - before)
        start += size


def _boxes(file: BinaryIO, start: int, end: int, path: Path) -> Iterator[Box]:
    """Yield the boxes of the top level."""
    while start < end:
        file.seek(start)
        head = file.read(16)
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        elif size == 0:
            size = end - start
        if len(head) < 8 or size < 8 or start + size > end:
            raise Unusable(
                f"Expected an MP4 file. Received {path}, whose box at byte {start} is cut off.",
                reason="NOT_MP4",
                resource=str(path),
            )
        yield Box(kind, start, size)
        start += size


def _copy(source: BinaryIO, sink: BinaryIO, size: int) -> None:
    while size > 0:
        block = source.read(min(size, _BLOCK))
        if not block:
            return
        sink.write(block)
        size -= len(block)
