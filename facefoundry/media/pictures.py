"""Reads numbered pictures as a sequence of frames: from a folder, or from uncompressed tars without unpacking them."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facefoundry.errors import Unusable
from facefoundry.media import still
from facefoundry.media.source import MediaInfo, ReadLimits, Source

__all__ = ["open_folder", "open_tars"]

_Entry: TypeAlias = tuple[str, Callable[[], bytes]]


def open_folder(folder: Path, frame_rate: tuple[int, int], limits: ReadLimits) -> Source:
    """Open a folder of numbered pictures as one source.

    Args:
        folder: The folder. Files that are not pictures are ignored.
        frame_rate: Frames per second, as numerator and denominator.
        limits: Largest media that is accepted.

    Raises:
        Unusable: the pictures cannot be read as frames (NOT_AN_IMAGE, NO_FRAMES, FRAME_GAP, FRAME_NAME, FRAME_TWICE,
            TOO_LARGE).
    """
    entries = [(item.name, item.read_bytes) for item in sorted(folder.iterdir()) if item.is_file()]
    return _Pictures(entries, frame_rate, limits, lambda: None)


def open_tars(paths: Sequence[Path], frame_rate: tuple[int, int], limits: ReadLimits) -> Source:
    """Open uncompressed tars of numbered pictures as one source. Nothing is unpacked to disk.

    Args:
        paths: The tars, in any order.
        frame_rate: Frames per second, as numerator and denominator.
        limits: Largest media that is accepted.

    Raises:
        Unusable: as in `open_folder`; also NOT_A_VIDEO for a file that is not a tar, TRUNCATED for a tar that is cut
            off.
    """
    tars = _Tars(paths)
    return _Pictures(tars.entries, frame_rate, limits, tars.close)


class _Tars:
    """The pictures in uncompressed tars, read from the tars without unpacking them to disk."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = []
        self.entries: list[_Entry] = []
        for path in paths:
            try:
                archive = tarfile.open(path, "r:")  # noqa: SIM115 - closed by close()
                self._files.append(archive)
                members = archive.getmembers()
            except tarfile.TarError as error:
                self.close()
                raise Unusable(
                    f"Expected a tar of frames. Received {path.name}, which is not a tar",
                    reason="NOT_A_VIDEO",
                    resource=path.name,
                ) from error
            self.entries += [
                (f"{path.stem}/{PurePosixPath(member.name).name}", _reader(archive, member))
                for member in members
                if member.isfile()
            ]

    def close(self) -> None:
        for archive in self._files:
            archive.close()


def _reader(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        file = archive.extractfile(member)
        data = b"" if file is None else file.read()
        if len(data) != member.size:
            raise Unusable(f"The tar ends within {member.name}", reason="TRUNCATED", resource=member.name)
        return data

    return read


class _Numbered(NamedTuple):
    number: int
    name: str
    read: Callable[[], bytes]


def _in_order(entries: Sequence[_Entry], max_frames: int) -> list[_Numbered]:
    """Sort pictures by the number at the end of their names. No number may be missing or appear twice."""
    numbered = []
    for name, read in entries:
        file = PurePath(name)
        if file.suffix.lower() not in still.SUFFIXES or file.name.startswith("."):
            continue
        match = re.search(r"([0-9]{1,12})$", file.stem)
        if match is None:
            message = f"Expected frame names that end in a number, such as 0001.png. Received {name}"
            raise Unusable(message, reason="FRAME_NAME", resource=name)
        numbered.append(_Numbered(int(match.group(1)), name, read))
    if not numbered:
        raise Unusable(
            "Expected png, jpg or bmp frames in the clip. Received none. Add numbered frames", reason="NO_FRAMES"
        )
    if len(numbered) > max_frames:
        raise Unusable(f"The clip has {len(numbered)} frames; at most {max_frames} are accepted", reason="TOO_LARGE")
    numbered.sort(key=lambda entry: (entry.number, entry.name))
    for before, after in pairwise(numbered):
        if after.number == before.number:
            message = f"Frame {after.number} appears twice: {before.name} and {after.name}"
            raise Unusable(message, reason="FRAME_TWICE", resource=after.name)
        if after.number != before.number + 1:
            missing = before.number + 1
            message = f"Frame {missing} is missing: {before.name} is followed by {after.name}"
            raise Unusable(message, reason="FRAME_GAP", metadata={"missing": str(missing)}, resource=after.name)
    return numbered


class _Pictures(Source):
    """A source whose frames are numbered pictures of one size."""

    def __init__(
        self, entries: Sequence[_Entry], frame_rate: tuple[int, int], limits: ReadLimits, close: Callable[[], None]
    ) -> None:
        self._close = close
        self._limits = limits
        try:
            self._entries = _in_order(entries, limits.max_frames)
            height, width = self._decode(self._entries[0]).shape[:2]
        except Unusable:
            close()
            raise
        kind = PurePath(self._entries[0].name).suffix.lower().lstrip(".").replace("jpeg", "jpg")
        self.info = MediaInfo(len(self._entries), frame_rate, width, height, 0, kind, "bgr24")

    def _decode(self, entry: _Numbered) -> NDArray[np.uint8]:
        return still.decode(entry.read(), entry.name, self._limits.max_pixels)

    def frames(self, start: int = 0) -> Iterator[NDArray[np.uint8]]:
        for entry in self._entries[start:]:
            frame = self._decode(entry)
            if frame.shape[:2] != (self.info.height, self.info.width):
                message = (
                    f"Expected frames of {self.info.width}x{self.info.height}, the size of the first. "
                    f"{entry.name} is {frame.shape[1]}x{frame.shape[0]}"
                )
                raise Unusable(message, reason="SIZE_CHANGES", resource=entry.name)
            yield frame

    def count(self) -> int:
        return len(self._entries)

    def close(self) -> None:
        self._close()
