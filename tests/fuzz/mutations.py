"""Seeded damage to files: flipped bits, cuts, splices, and mp4 boxes with other sizes, places and values.

Pure functions of a random generator and bytes; equal seeds give equal damage.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

__all__ = ["Mutation", "boxes", "mutate", "mutate_picture"]

_EXTREMES = (0, 1, 2, 7, 8, 0xFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"udta", b"moof", b"traf", b"mvex"}
_HEAD = 600


class Mutation(NamedTuple):
    """A description of the damage, and the damaged bytes."""

    name: str
    data: bytes


class Box(NamedTuple):
    """One box of an mp4: where it starts, its length with its head, its kind."""

    start: int
    length: int
    kind: bytes


def boxes(data: bytes, start: int = 0, stop: int | None = None) -> list[Box]:
    """Return every box, nested ones included, up to the first that does not parse."""
    found: list[Box] = []
    stop = len(data) if stop is None else stop
    while start + 8 <= stop:
        length = int.from_bytes(data[start : start + 4], "big")
        kind = data[start + 4 : start + 8]
        if length < 8 or start + length > stop:
            break
        found.append(Box(start, length, kind))
        if kind in _PARENTS:
            found += boxes(data, start + 8, start + length)
        start += length
    return found


def _flip(random: Random, data: bytes, low: int, high: int) -> bytes:
    damaged = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8, 64))):
        damaged[random.randrange(low, max(high, low + 1))] ^= 1 << random.randrange(8)
    return bytes(damaged)


def flip_anywhere(random: Random, data: bytes, other: bytes) -> bytes:
    """Flip bits anywhere."""
    return _flip(random, data, 0, len(data))


def flip_head(random: Random, data: bytes, other: bytes) -> bytes:
    """Flip bits near the beginning, where most containers keep their index."""
    return _flip(random, data, 0, min(_HEAD, len(data)))


def flip_tail(random: Random, data: bytes, other: bytes) -> bytes:
    """Flip bits near the end, where other containers keep it."""
    return _flip(random, data, max(0, len(data) - _HEAD), len(data))


def truncate(random: Random, data: bytes, other: bytes) -> bytes:
    """Cut the end off."""
    return data[: random.randrange(1, len(data))]


def behead(random: Random, data: bytes, other: bytes) -> bytes:
    """Cut the beginning off."""
    return data[random.randrange(1, len(data)) :]


def delete(random: Random, data: bytes, other: bytes) -> bytes:
    """Take a span out."""
    start, length = _span(random, data)
    return data[:start] + data[start + length :]


def repeat(random: Random, data: bytes, other: bytes) -> bytes:
    """Duplicate a span."""
    start, length = _span(random, data)
    return data[: start + length] + data[start:]


def blank(random: Random, data: bytes, other: bytes) -> bytes:
    """Overwrite a span with one value."""
    start, length = _span(random, data)
    return data[:start] + bytes([random.choice((0, 255))]) * length + data[start + length :]


def splice(random: Random, data: bytes, other: bytes) -> bytes:
    """Go on with the end of another file."""
    return data[: random.randrange(1, len(data))] + other[random.randrange(len(other)) :]


def transplant(random: Random, data: bytes, other: bytes) -> bytes:
    """Overwrite a span with a span of another file."""
    start, length = _span(random, data)
    place = random.randrange(len(other))
    return data[:start] + other[place : place + length] + data[start + length :]


def extreme(random: Random, data: bytes, other: bytes) -> bytes:
    """Write extreme numbers over a few places near the beginning or the end."""
    damaged = bytearray(data)
    for _ in range(random.randint(1, 4)):
        near = random.randrange(min(_HEAD, len(data)))
        place = min(near if random.random() < 0.6 else len(data) - 1 - near, len(data) - 4)
        order = random.choice((">I", "<I"))
        damaged[place : place + 4] = struct.pack(order, random.choice(_EXTREMES))
    return bytes(damaged)


def box_length(random: Random, data: bytes, other: bytes) -> bytes:
    """Give a box another length."""
    box = random.choice(boxes(data))
    length = random.choice((*_EXTREMES, box.length - 1, box.length + 1, box.length * 2, random.randrange(1 << 32)))
    return data[: box.start] + struct.pack(">I", length) + data[box.start + 4 :]


def box_kind(random: Random, data: bytes, other: bytes) -> bytes:
    """Give a box another kind, one of the file's or none."""
    found = boxes(data)
    box = random.choice(found)
    kind = random.choice((random.choice(found).kind, b"free", random.randbytes(4)))
    return data[: box.start + 4] + kind + data[box.start + 8 :]


def box_twice(random: Random, data: bytes, other: bytes) -> bytes:
    """Duplicate a box."""
    box = random.choice(boxes(data))
    return data[: box.start + box.length] + data[box.start :]


def box_gone(random: Random, data: bytes, other: bytes) -> bytes:
    """Take a box out."""
    box = random.choice(boxes(data))
    return data[: box.start] + data[box.start + box.length :]


def box_moved(random: Random, data: bytes, other: bytes) -> bytes:
    """Put a box somewhere else."""
    found = boxes(data)
    box, place = random.choice(found), random.choice(found)
    taken = data[box.start : box.start + box.length]
    rest = data[: box.start] + data[box.start + box.length :]
    start = min(place.start, len(rest))
    return rest[:start] + taken + rest[start:]


def box_foreign(random: Random, data: bytes, other: bytes) -> bytes:
    """Put a box of another file in place of one of the same kind, if there is one."""
    box = random.choice(boxes(data))
    fitting = [candidate for candidate in boxes(other) if candidate.kind == box.kind] or boxes(other)
    foreign = random.choice(fitting) if fitting else Box(0, len(other), b"")
    taken = other[foreign.start : foreign.start + foreign.length]
    return data[: box.start] + taken + data[box.start + box.length :]


def box_values(random: Random, data: bytes, other: bytes) -> bytes:
    """Write extreme numbers over fields of a box that is no parent of others, its length and kind kept."""
    found = [
        candidate for candidate in boxes(data) if candidate.length >= 16 and candidate.kind not in _PARENTS | {b"mdat"}
    ]
    if not found:
        return extreme(random, data, other)
    box = random.choice(found)
    damaged = bytearray(data)
    for _ in range(random.randint(1, 3)):
        place = box.start + 8 + 4 * random.randrange((box.length - 8) // 4)
        damaged[place : place + 4] = struct.pack(">I", random.choice(_EXTREMES))
    return bytes(damaged)


_ANY: tuple[Callable[[Random, bytes, bytes], bytes], ...] = (
    flip_anywhere,
    flip_head,
    flip_tail,
    truncate,
    behead,
    delete,
    repeat,
    blank,
    splice,
    transplant,
    extreme,
)
_BOXED = (box_length, box_kind, box_twice, box_gone, box_moved, box_foreign, box_values, box_values)


def mutate(random: Random, name: str, data: bytes, others: Sequence[bytes]) -> Mutation:
    """Damage a video file once to three times; those of the mp4 kind by their boxes more often than not."""
    done = []
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        if len(data) < 8:
            break
        choices = _ANY + 2 * _BOXED if name.endswith((".mp4", ".mov")) and boxes(data) else _ANY
        chosen = random.choice(choices)
        done.append(chosen.__name__)
        data = chosen(random, data, random.choice(others))
    return Mutation(" ".join(done), data)


def mutate_picture(random: Random, data: bytes, others: Sequence[bytes]) -> Mutation:
    """Damage a picture, sometimes by a wrong size in its header."""
    if random.random() < 0.2:
        place, order = {b"\x89P": (16, ">I"), b"BM": (18, "<I")}.get(data[:2], (163, ">H"))
        size = struct.pack(order, random.choice(_EXTREMES) & (0xFFFF if order == ">H" else 0xFFFFFFFF))
        place += random.choice((0, struct.calcsize(order)))
        return Mutation("picture_size", data[:place] + size + data[place + len(size) :])
    chosen = random.choice(_ANY)
    return Mutation(chosen.__name__, chosen(random, data, random.choice(others)))


def _span(random: Random, data: bytes) -> tuple[int, int]:
    start = random.randrange(len(data))
    return start, random.randint(1, max(1, min(len(data) - start, random.choice((4, 32, 256, 4096)))))
