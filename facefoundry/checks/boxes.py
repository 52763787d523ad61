"""Reads the boxes of an mp4 (ISO/IEC 14496-12): their order, and the content of those that no picture changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["container_facts"]

_PARENTS: Final = frozenset({"moov", "trak", "edts", "mdia", "minf", "dinf", "stbl", "udta", "meta", "ilst", "mvex"})
# Sizes, places and kinds of the samples depend on the pictures; the checks of packets look at them.
_SAMPLES: Final = frozenset({"stsz", "stz2", "stco", "co64", "stsc", "stss", "sdtp", "cslg", "ctts", "stts"})
_DATA: Final = frozenset({"mdat", "free", "skip"})
# stss, ctts, sdtp and cslg are written only if frames of some kind exist.
_OPTIONAL: Final = frozenset({"stss", "ctts", "sdtp", "cslg"})
# Bytes of a box of the type `meta`, and of a sample entry of video, before the boxes in it.
_PREAMBLES: Final = {"meta": 4, "stsd": 8, "avc1": 78, "hvc1": 78, "hev1": 78}
# Boxes of usual tags begin with this character; the checks take these from libavformat, by name.
_TAG: Final = "\xa9"
_BLOCK = 1 << 16
_SHOWN = 120
_MAX_BOXES = 2000


def container_facts(path: Path) -> dict[str, str]:
    """Return what the boxes of a file say, by name.

    `boxes` is their order; `box <type>` is the content of one: the start of its text if it is readable, and a digest of
    all its bytes. The sample tables, media data, free space and the parameters of the encoder are left out.
    """
    with path.open("rb") as file:
        found = list(_walk(file, 0, path.stat().st_size, 0))
    facts = {"boxes": " ".join(f"{'.' * depth}{kind}" for depth, kind, _ in found if kind not in _OPTIONAL)}
    for _, kind, content in found:
        if content is not None and kind[0] != _TAG:
            name = f"box {kind}"
            facts[name] = f"{facts[name]}; {content}" if name in facts else content
    return facts


def _walk(file: BinaryIO, start: int, end: int, depth: int) -> Iterator[tuple[int, str, str | None]]:
    """Yield (depth, type, content) of the boxes in a span; the content only of boxes that hold no other ones."""
    count = 0
    while start + 8 <= end and count < _MAX_BOXES:
        count += 1
        file.seek(start)
        head = file.read(16)
        length, begin = int.from_bytes(head[:4], "big"), start + 8
        if length == 1:
            length, begin = int.from_bytes(head[8:16], "big"), start + 16
        length = length or end - start
        if length < begin - start or start + length > end:
            yield depth, "damaged", None
            return
        kind = head[4:8].decode("latin-1")
        if kind in _PARENTS or kind in _PREAMBLES:
            yield depth, kind, None
            yield from _walk(file, begin + _PREAMBLES.get(kind, 0), start + length, depth + 1)
        elif kind in _SAMPLES | _DATA | {"avcC", "hvcC", "btrt"}:
            yield depth, kind, None
        else:
            file.seek(begin)
            yield depth, kind, _content(file, start + length - begin)
        start += length


def _content(file: BinaryIO, size: int) -> str:
    """Return the start of a content, if it is readable, and the start of the digest of all its bytes."""
    first = file.read(min(size, _BLOCK))
    digest, left = hashlib.sha256(first), size - len(first)
    while left > 0 and (block := file.read(min(left, _BLOCK))):
        digest.update(block)
        left -= len(block)
    readable = bytes(byte for byte in first if 32 <= byte < 127)
    text = readable[:_SHOWN].decode() if len(readable) >= max(4, 0.5 * len(first)) else ""
    return f"{text} {digest.hexdigest()[:12]}".lstrip()
