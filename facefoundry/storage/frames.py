"""Packs frames, the pictures of a clip, as the tars of a stored source."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from facefoundry import archive
from facefoundry.errors import DataLoss
from facefoundry.storage.parts import FRAMES

__all__ = ["FramePacker", "TarLimits", "content_digest"]


@dataclass(frozen=True)
class TarLimits:
    """The most frames, and the most bytes of frames, in one tar. Bytes are limited because a tar is made in memory."""

    frames: int = 256
    bytes: int = 64 << 20


class FramePacker:
    """Packs the frames of a clip, in order. Equal frames give equal tars, whatever the names of their files were.

    Args:
        limits: The most frames and bytes in one tar.
    """

    def __init__(self, limits: TarLimits | None = None) -> None:
        self._limits = limits or TarLimits()
        self._hashed = hashlib.sha256()

    @property
    def content_digest(self) -> str:
        """SHA-256 over the SHA-256 of each packed frame, 64 hex digits."""
        return self._hashed.hexdigest()

    def pack(
        self, frames: Sequence[Path], read: Callable[[Path], bytes] = Path.read_bytes
    ) -> Iterator[tuple[str, bytes]]:
        """Yield the part's name and the bytes of each tar. Each frame is read once, and hashed as it is packed.

        Args:
            frames: The files of the frames, in order.
            read: Returns the bytes of a file.
        """
        for number, span in enumerate(_split([frame.lstat().st_size for frame in frames], self._limits)):
            files = {}
            for index in span:
                data = read(frames[index])
                self._hashed.update(hashlib.sha256(data).digest())
                files[f"{index:06d}{frames[index].suffix.lower()}"] = data
            yield FRAMES.name(number), archive.pack(files)


def content_digest(tars: Sequence[Path]) -> str:
    """Return the content digest of the frames in tars that `FramePacker` made, as computed from their bytes.

    Raises:
        DataLoss: a file is no such tar (BAD_ARCHIVE).
    """
    hashed, number = hashlib.sha256(), 0
    for tar in tars:
        for name, sha256 in archive.digests(tar):
            if PurePath(name).stem != f"{number:06d}":
                message = f"Expected frame {number:06d} next in {tar.name}. Received {name!r}."
                raise DataLoss(message, reason="BAD_ARCHIVE")
            hashed.update(sha256)
            number += 1
    return hashed.hexdigest()


def _split(sizes: Sequence[int], limits: TarLimits) -> Iterator[range]:
    """Yield the range of frames of each tar."""
    start, held = 0, 0
    for index, size in enumerate(sizes):
        if index > start and (index - start == limits.frames or held + size > limits.bytes):
            yield range(start, index)
            start, held = index, 0
        held += size
    yield range(start, len(sizes))
