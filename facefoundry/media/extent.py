"""How long a file says it is, to tell one that was cut off: many demuxers take such a file for a shorter clip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["missing_bytes"]

_EBML: Final = b"\x1a\x45\xdf\xa3"
_SEGMENT: Final = b"\x18\x53\x80\x67"
# Boxes of an mp4 that hold the clip; others may be anything, also what somebody appended to the file.
_BOXES: Final = frozenset({b"moov", b"mdat", b"moof"})
_FIRST_BOXES: Final = _BOXES | {b"ftyp", b"styp", b"free", b"skip", b"wide", b"uuid", b"pnot"}
_MOST_BOXES: Final = 1_000_000


def missing_bytes(path: Path) -> int:
    """Count the bytes that a file lacks at its end by what its container says; 0 also where the container says nothing.

    It looks at the lengths of an mp4's or mov's outermost boxes, of a Matroska or WebM segment and of an AVI's first
    RIFF chunk. Transport and program streams and others do not say how long they are.

    Args:
        path: Media file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head.startswith(_EBML):
            end = _segment_end(file)
        elif head.startswith(b"RIFF") and head[8:] == b"AVI ":
            end = 8 + int.from_bytes(head[4:8], "little")
        elif head[4:8] in _FIRST_BOXES:
            end = max((end for kind, end in _boxes(file, size) if kind in _BOXES), default=0)
        else:
            end = 0
    return max(0, end - size)


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """Kind and end of the outermost boxes, the last of which may end behind the file."""
    start = 0
    for _ in range(_MOST_BOXES):
        file.seek(start)
        head = file.read(16)
        if len(head) < 8:
            return
        length = int.from_bytes(head[:4], "big")
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:], "big")
        if length < 8:  # 0 is "to the end of the file", the rest is no box
            return
        yield head[4:8], start + length
        start += length
        if start >= size:
            return


def _segment_end(file: BinaryIO) -> int:
    """End of the first segment; 0 when it does not say, as in a live recording."""
    file.seek(len(_EBML))
    header = _variable_length(file)
    if header is None:
        return 0
    file.seek(header, 1)
    if file.read(len(_SEGMENT)) != _SEGMENT:
        return 0
    length = _variable_length(file)
    return 0 if length is None else file.tell() + length


def _variable_length(file: BinaryIO) -> int | None:
    """An EBML length: as many leading zero bits as there are further bytes; all ones are "unknown"."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    further = 8 - first[0].bit_length()
    value = int.from_bytes(first + file.read(further), "big") & ((1 << 7 * (further + 1)) - 1)
    return None if value == (1 << 7 * (further + 1)) - 1 else value
