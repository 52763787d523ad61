"""Rules for numbered pictures that are the frames of a clip. It imports no media library."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Final

from facefoundry.errors import Unusable

__all__ = ["FRAME_SUFFIXES", "in_order", "is_frame"]

FRAME_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp"})

_NUMBER = re.compile(r"[0-9]{1,12}$")


def is_frame(name: str) -> bool:
    """Return whether a file is a frame, by its name. Hidden files, such as `._0001.png` of macOS, are not frames."""
    path = PurePosixPath(name)
    return path.suffix.lower() in FRAME_SUFFIXES and not path.name.startswith(".")


def in_order(names: Iterable[str], where: str = "") -> list[str]:
    """Sort frames by the numbers at the end of their names. No number may be missing or appear twice.

    Args:
        names: Names of files, with or without folders. Those that are not frames are left out.
        where: What has the files, for messages.

    Raises:
        Unusable: there is no frame (NO_FRAMES), a name has no number (FRAME_NAME), or a number appears twice
            (FRAME_TWICE) or is missing (FRAME_GAP).
    """
    numbered = []
    of = f" of {where}" if where else ""
    for name in filter(is_frame, names):
        match = _NUMBER.search(PurePosixPath(name).stem)
        if match is None:
            message = f"Expected frame names that end in a number, such as 0001.png. Received {name}{of}."
            raise Unusable(message, reason="FRAME_NAME", resource=where or name)
        numbered.append((int(match[0]), name))
    if not numbered:
        message = f"Expected png, jpg or bmp frames in {where or 'the source'}. Received none."
        raise Unusable(message, reason="NO_FRAMES", resource=where)
    numbered.sort()
    for (before, first), (after, second) in pairwise(numbered):
        if after == before:
            message = f"Frame {after}{of} appears twice: {first} and {second}."
            raise Unusable(message, reason="FRAME_TWICE", resource=where or second)
        if after != before + 1:
            message = f"Frame {before + 1}{of} is missing: {first} is followed by {second}."
            metadata = {"missing": str(before + 1)}
            raise Unusable(message, reason="FRAME_GAP", metadata=metadata, resource=where or second)
    return [name for _, name in numbered]
