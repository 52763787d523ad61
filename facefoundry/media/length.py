"""The length that an mp4 states for its only track.

libavformat computes the length from the first frames in decoding order. If x264 begins with fewer B-frames than usual,
which depends on the pixels, the length is one frame too long. So a real video and its fake could differ in length.
"""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["state_length"]

_Span = tuple[int, int]

# Where the duration is in boxes of version 0, with four bytes, and of version 1, with eight (ISO/IEC 14496-12).
_DURATIONS: Final = {"mdhd": (16, 24), "tkhd": (20, 28), "elst": (8, 8)}


def state_length(path: Path) -> None:
    """Write the sum of all samples as the length of the media, and the length of the track as that of the edit list."""
    with path.open("r+b") as file:
        track = _find(file, (0, path.stat().st_size), "moov", "trak")
        steps = _steps(file, _find(file, track, "mdia", "minf", "stbl", "stts"))
        _set(file, _find(file, track, "mdia", "mdhd"), "mdhd", sum(count * step for count, step in steps))
        _set(file, _find(file, track, "edts", "elst"), "elst", _get(file, _find(file, track, "tkhd"), "tkhd"))


def _find(file: BinaryIO, within: _Span, *kinds: str) -> _Span:
    """Return the span of a box's content; `kinds` are those of the boxes around it, outermost first, and its own."""
    return reduce(lambda span, kind: _child(file, span, kind.encode()), kinds, within)


def _child(file: BinaryIO, within: _Span, kind: bytes) -> _Span:
    start, end = within
    while start < end:
        file.seek(start)
        head = file.read(16)
        length, begin = int.from_bytes(head[:4], "big"), start + 8
        if length == 1:
            length, begin = int.from_bytes(head[8:], "big"), start + 16
        if head[4:8] == kind:
            return begin, start + length
        start += length
    raise LookupError(f"no box {kind.decode()}")


def _steps(file: BinaryIO, table: _Span) -> list[tuple[int, int]]:
    """Return (number of samples, length of each) for each run of equally long samples in a table."""
    file.seek(table[0] + 8)
    content = file.read(table[1] - table[0] - 8)
    numbers = [int.from_bytes(content[at : at + 4], "big") for at in range(0, len(content), 4)]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _place(file: BinaryIO, box: _Span, kind: str) -> tuple[int, int]:
    """Return (position, number of bytes) of the duration in a box."""
    file.seek(box[0])
    version = file.read(1)[0]
    return box[0] + _DURATIONS[kind][version], 4 + 4 * version


def _get(file: BinaryIO, box: _Span, kind: str) -> int:
    start, width = _place(file, box, kind)
    file.seek(start)
    return int.from_bytes(file.read(width), "big")


def _set(file: BinaryIO, box: _Span, kind: str, duration: int) -> None:
    start, width = _place(file, box, kind)
    file.seek(start)
    file.write(duration.to_bytes(width, "big"))
