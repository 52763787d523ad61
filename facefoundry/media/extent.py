"""Detects media files that were cut off, by the length that their container format declares.

Decoders read many such files as if the clip were shorter. Mp4 and mov files consist of boxes: blocks of data that begin
with their length and kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["missing_bytes"]

_EBML: Final = b"\x1a\x45\xdf\xa3"
_SEGMENT: Final = b"\x18\x53\x80\x67"
# Boxes of an mp4 that contain the clip. Others may be anything, such as data that was appended to the file.
_BOXES: Final = frozenset({b"moov", b"mdat", b"moof"})
_FIRST_BOXES: Final = _BOXES | {b"ftyp", b"styp", b"free", b"skip", b"wide", b"uuid", b"pnot"}
_MAX_BOXES: Final = 1_000_000


def missing_bytes(path: Path) -> int:
    """Return the number of bytes that are missing at the end of a media file; 0 if its format declares no length.

    The length is declared by the outermost boxes of an mp4 or mov file, by the segment of a Matroska or WebM file, and
    by the first RIFF chunk of an AVI file. MPEG transport streams, program streams and other formats declare none.

    Args:
        path: The media file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head.startswith(_EBML):
            end = _segment_end(file)
        elif head.startswith(b"RIFF") and head[8:] == b"AVI ":
            end = _riff_end(file, int.from_bytes(head[4:8], "little"), size)
        elif head[4:8] in _FIRST_BOXES:
            end = max((end for kind, end in _boxes(file, size) if kind in _BOXES), default=0)
        else:
            end = 0
    return max(0, end - size)


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """Yield (kind, end in bytes) of each outermost box. The last box may end beyond the end of the file."""
    start = 0
    for _ in range(_MAX_BOXES):
        file.seek(start)
        head = file.read(16)
        if len(head) < 8:
            return
        length = int.from_bytes(head[:4], "big")
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:], "big")
        if length < 8:  # 0 means "to the end of the file"; other values are no box
            return
        yield head[4:8], start + length
        start += length
        if start >= size:
            return


def _riff_end(file: BinaryIO, stated: int, size: int) -> int:
    """Return the end of an AVI file's first RIFF chunk. Some programs state the length of the whole file as its length.

    Such a file is whole if its inner chunks end where it does.
    """
    if stated != size:
        return 8 + stated
    start = 12
    while start + 8 <= size:
        file.seek(start + 4)
        length = int.from_bytes(file.read(4), "little")
        start += 8 + length + length % 2
    return size if start == size else 8 + stated


def _segment_end(file: BinaryIO) -> int:
    """Return the end of a Matroska file's first segment, in bytes; 0 if none is declared, as in a live recording."""
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
    """Read a length in the EBML encoding of Matroska; None if it is unknown.

    The number of leading zero bits of the first byte is the number of further bytes. If all bits of the value are 1,
    the length is unknown. None also where no length can be read, at the end of the file or at a zero byte.
    """
    first = file.read(1)
    if not first or not first[0]:
        return None
    further = 8 - first[0].bit_length()
    value = int.from_bytes(first + file.read(further), "big") & ((1 << 7 * (further + 1)) - 1)
    return None if value == (1 << 7 * (further + 1)) - 1 else value
