"""Detects media files that were cut off, by the length that their container format declares.

Decoders read many such files as if the clip were shorter. Mp4 and mov files consist of boxes: blocks of data that begin
with their length and kind.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["broken_at", "missing_bytes"]

_ASF: Final = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE: Final = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_GIFS: Final = (b"GIF87a", b"GIF89a")
_GIF_END, _GIF_EXTENSION, _GIF_PICTURE = b";", b"!", b","
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PNG_END: Final = bytes.fromhex("0000000049454e44ae426082")
_EBML: Final = b"\x1a\x45\xdf\xa3"
_SEGMENT: Final = b"\x18\x53\x80\x67"
# Boxes of an mp4 that contain the clip. Others may be anything, such as data that was appended to the file.
_BOXES: Final = frozenset({b"moov", b"mdat", b"moof"})
_FIRST_BOXES: Final = _BOXES | {b"ftyp", b"styp", b"free", b"skip", b"wide", b"uuid", b"pnot"}
_MAX_BOXES: Final = 1_000_000
_ASF_HEADER_BYTES: Final = 64 << 10
_TAIL_BYTES: Final = 4096


def missing_bytes(path: Path) -> int:
    """Return the number of bytes that are missing at the end of a media file; 0 if its format declares no length.

    The length is declared by the outermost boxes of an mp4 or mov file, by the segment of a Matroska or WebM file, by
    the first RIFF chunk of an AVI file, and by the header of an ASF file (wmv). A GIF and a PNG have a mark at their
    end. MPEG transport streams, program streams and other formats declare none.

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
        elif _ASF.startswith(head):
            end = _asf_end(file)
        elif head.startswith(_GIFS):
            end = size + _missing_mark(file, _GIF_END)
        elif head.startswith(_PNG):
            end = size + _missing_mark(file, _PNG_END)
        elif head[4:8] in _FIRST_BOXES:
            end = max((end for kind, end in _boxes(file, size) if kind in _BOXES), default=0)
        else:
            end = 0
    return max(0, end - size)


def broken_at(path: Path) -> int | None:
    """Return the byte at which the blocks of a GIF cannot be followed any more; None for whole and other files.

    The demuxer goes on with the next thing that looks like a frame.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(6) not in _GIFS:
            return None
        _skip_colours(file, file.read(7)[4:5])
        while (kind := file.read(1)) != _GIF_END:
            start = file.tell() - 1
            if kind == _GIF_PICTURE:
                _skip_colours(file, file.read(9)[8:9])
                file.seek(1, os.SEEK_CUR)
            elif kind == _GIF_EXTENSION:
                file.seek(1, os.SEEK_CUR)
            else:
                return start
            while length := file.read(1)[:1].rstrip(b"\0"):
                file.seek(length[0], os.SEEK_CUR)
            if file.tell() >= size:
                return start
    return None


def _skip_colours(file: BinaryIO, flags: bytes) -> None:
    """Go past a table of colours in a GIF, if its flags say that there is one."""
    if flags and flags[0] & 0x80:
        file.seek(3 << (flags[0] & 7) + 1, os.SEEK_CUR)


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


def _asf_end(file: BinaryIO) -> int:
    """Return the size that an ASF file states for itself; 0 if it states none, as in a broadcast."""
    file.seek(0)
    header = file.read(_ASF_HEADER_BYTES)
    start = header.find(_ASF_FILE)
    size, flags = header[start + 40 : start + 48], header[start + 88 : start + 92]
    is_broadcast = start < 0 or len(flags) < 4 or flags[0] & 1
    return 0 if is_broadcast else int.from_bytes(size, "little")


def _missing_mark(file: BinaryIO, mark: bytes) -> int:
    """Return the length of the mark that a file should end with; 0 if it does. Zeros and line ends may follow it."""
    file.seek(-min(_TAIL_BYTES, file.seek(0, os.SEEK_END)), os.SEEK_END)
    return 0 if file.read().rstrip(b"\0\r\n").endswith(mark) else len(mark)


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
