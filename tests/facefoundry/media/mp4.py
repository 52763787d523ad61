"""A reader of mp4 boxes (ISO/IEC 14496-12), for tests that compare containers box by box."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Boxes that hold boxes, and the number of bytes before the first one.
_CONTAINERS = {"moov": 0, "trak": 0, "edts": 0, "mdia": 0, "minf": 0, "dinf": 0, "stbl": 0, "udta": 0, "ilst": 0}
_CONTAINERS |= {"meta": 4, "stsd": 8, "dref": 8, "avc1": 78, "©too": 0}

# What the tables of these boxes hold follows from the bytes and types of the encoded pictures.
OF_PICTURES = ("stsz", "stco", "co64", "stsc", "stss", "ctts", "mdat")


class Box(NamedTuple):
    """A box.

    Attributes:
        path: Its type after the types of the boxes that hold it, such as `moov/trak/tkhd`.
        content: Its bytes without size and type; of a box that holds others, those before the first one.
    """

    path: str
    content: bytes

    @property
    def kind(self) -> str:
        """Its four-letter type."""
        return self.path.rpartition("/")[2]


def boxes(path: Path) -> list[Box]:
    """Return the boxes of a file in the order of the file."""
    return list(_within(path.read_bytes(), ""))


def find(path: Path, kind: str) -> bytes:
    """Return the content of the only box of a type."""
    (content,) = (box.content for box in boxes(path) if box.kind == kind)
    return content


def numbers(content: bytes) -> list[int]:
    """Return content of 32-bit numbers."""
    return list(struct.unpack(f">{len(content) // 4}I", content[: len(content) // 4 * 4]))


def _within(data: bytes, holder: str) -> Iterator[Box]:
    start = 0
    while start < len(data):
        size, kind = struct.unpack(">I4s", data[start : start + 8])
        header = 8
        if size == 1:
            size, header = struct.unpack(">Q", data[start + 8 : start + 16])[0], 16
        assert header <= size <= len(data) - start, f"a box of {size} bytes at {start} in {holder or 'the file'}"
        path = f"{holder}/{kind.decode('latin-1')}".removeprefix("/")
        content = data[start + header : start + size]
        inner = _CONTAINERS.get(kind.decode("latin-1"))
        yield Box(path, content if inner is None else content[:inner])
        if inner is not None:
            yield from _within(content[inner:], path)
        start += size
