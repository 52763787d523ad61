"""What is sent to a service: a file, or a folder of frames as a tar that is made while it is sent."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from facefoundry import archive
from facefoundry.dataset.urls import BLOCK_BYTES
from facefoundry.errors import InvalidInput, Unusable

__all__ = ["Content", "FileContent", "FrameTar"]

_TAR_BLOCK = 512
_TAR_END = bytes(2 * _TAR_BLOCK)
_MAX_NAME_BYTES = 200
_REFUSED_IN_NAMES = re.compile(r"[/\\\x00-\x1f\x7f]")


class Content(ABC):
    """The bytes of one upload, which can be read from any offset.

    Attributes:
        path: The file or folder on disk.
        name: Name of the upload.
        size: Number of bytes.
    """

    def __init__(self, path: Path, suffix: str, size: int) -> None:
        self.path, self.size = path, size
        name = _REFUSED_IN_NAMES.sub("_", os.fsencode(path.name + suffix).decode(errors="replace"))
        self.name = name.encode()[-_MAX_NAME_BYTES:].decode(errors="ignore")

    def blocks(self, offset: int, size: int) -> Iterator[bytes]:
        """Yield `size` bytes from an offset, in blocks.

        Raises:
            InvalidInput: a file cannot be read (INPUT_FILE).
            Unusable: a file has changed (INPUT_CHANGES).
        """
        try:
            yield from self._read(offset, size)
        except OSError as error:
            message = f"Cannot read {error.filename or self.path}: {error.strerror}. Check its path and permissions."
            raise InvalidInput(message, reason="INPUT_FILE") from error

    @abstractmethod
    def _read(self, offset: int, size: int) -> Iterator[bytes]:
        """Yield the bytes for `blocks`, which converts an OSError."""

    def changed(self) -> Unusable:
        """Return the error about files that changed while they were read."""
        message = f"{self.path} changed while it was read. Run the command again when it is complete."
        return Unusable(message, reason="INPUT_CHANGES", resource=str(self.path))


class FileContent(Content):
    """A file as it is."""

    def __init__(self, path: Path, size: int) -> None:
        super().__init__(path, "", size)

    def _read(self, offset: int, size: int) -> Iterator[bytes]:
        with self.path.open("rb", buffering=0) as file:
            file.seek(offset)
            while size:
                block = file.read(min(size, BLOCK_BYTES))
                if not block:
                    raise self.changed()
                size -= len(block)
                yield block


class FrameTar(Content):
    """A tar of frames. Equal frames give equal bytes, whatever the names of their files are.

    Args:
        folder: The folder of the frames.
        frames: The files, in order.
        sizes: Their sizes in bytes.
    """

    def __init__(self, folder: Path, frames: Sequence[Path], sizes: Sequence[int]) -> None:
        self._frames, self._sizes = frames, sizes
        self._starts = [0, *accumulate(_TAR_BLOCK + size + -size % _TAR_BLOCK for size in sizes)]
        super().__init__(folder.absolute(), ".tar", self._starts[-1] + len(_TAR_END))

    def _read(self, offset: int, size: int) -> Iterator[bytes]:
        end = offset + size
        number = min(bisect_right(self._starts, offset) - 1, len(self._frames))
        while offset < end:
            start, member = self._starts[number], self._member(number)
            block = member[offset - start : end - start]
            offset += len(block)
            number += 1
            yield block

    def _member(self, number: int) -> bytes:
        """Return the bytes of a frame in the tar, or of what comes after the last one."""
        if number == len(self._frames):
            return _TAR_END
        data, size = self._frames[number].read_bytes(), self._sizes[number]
        if len(data) != size:
            raise self.changed()
        name = f"{number:06d}{self._frames[number].suffix.lower()}"
        return archive.header(name, size) + data + bytes(-size % _TAR_BLOCK)
