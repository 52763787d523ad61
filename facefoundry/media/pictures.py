"""Reads numbered pictures as a sequence of frames: from a folder, or from uncompressed tars without unpacking them."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from facefoundry.errors import Unusable
from facefoundry.media import still
from facefoundry.media.frames import in_order
from facefoundry.media.source import MediaInfo, ReadLimits, Source, black, unwanted

__all__ = ["open_folder", "open_tars"]

_Entry: TypeAlias = tuple[str, Callable[[], bytes]]


def open_folder(
    folder: Path, frame_rate: tuple[int, int], limits: ReadLimits, *, tolerate_damage: bool = False
) -> Source:
    """Open a folder of numbered pictures as one source.

    Args:
        folder: The folder. Files that are not pictures are ignored.
        frame_rate: Frames per second, as numerator and denominator.
        limits: Largest media that is accepted.
        tolerate_damage: Whether damaged pictures are read as far as possible. One without pixels repeats the picture
            before it.

    Raises:
        Unusable: the pictures cannot be read as frames (NOT_AN_IMAGE, NO_FRAMES, FRAME_GAP, FRAME_NAME, FRAME_TWICE,
            TOO_LARGE).
    """
    entries = [(item.name, item.read_bytes) for item in sorted(folder.iterdir()) if item.is_file()]
    return _Pictures(entries, frame_rate, limits, lambda: None, tolerate_damage)


def open_tars(
    paths: Sequence[Path], frame_rate: tuple[int, int], limits: ReadLimits, *, tolerate_damage: bool = False
) -> Source:
    """Open uncompressed tars of numbered pictures as one source. Nothing is unpacked to disk.

    Args:
        paths: The tars, in any order.
        frame_rate: Frames per second, as numerator and denominator.
        limits: Largest media that is accepted.
        tolerate_damage: As in `open_folder`.

    Raises:
        Unusable: as in `open_folder`; also NOT_A_VIDEO for a file that is not a tar, TRUNCATED for a tar that is cut
            off.
    """
    tars = _Tars(paths)
    return _Pictures(tars.entries, frame_rate, limits, tars.close, tolerate_damage)


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
                    f"Expected a tar of frames. Received {path.name}, which is not a tar.",
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
            raise Unusable(
                f"The tar ends within {member.name}. Store the whole tar again.",
                reason="TRUNCATED",
                resource=member.name,
            )
        return data

    return read


def _in_order(entries: Sequence[_Entry], max_frames: int) -> list[_Entry]:
    """Sort pictures by the number at the end of their names, and leave out other files."""
    names = in_order(name for name, _ in entries)
    if len(names) > max_frames:
        raise Unusable(
            f"The clip has {len(names)} frames; at most {max_frames} are accepted. Shorten the clip.",
            reason="TOO_LARGE",
        )
    readers = dict(entries)
    return [(name, readers[name]) for name in names]


def _check_total(pixels: int, max_total: int) -> None:
    if pixels > max_total:
        raise Unusable(
            f"The clip has {pixels} pixels in all its frames; at most {max_total} are accepted. Shorten the clip, or "
            "scale its frames down.",
            reason="TOO_LARGE",
        )


class _Pictures(Source):
    """A source whose frames are numbered pictures of one size."""

    def __init__(
        self,
        entries: Sequence[_Entry],
        frame_rate: tuple[int, int],
        limits: ReadLimits,
        close: Callable[[], None],
        tolerant: bool,
    ) -> None:
        self._close, self._limits, self._tolerant = close, limits, tolerant
        self._rate = Fraction(*frame_rate)
        self.damaged = set()
        try:
            self._entries = _in_order(entries, limits.max_frames)
            height, width = self._first().shape[:2]
            _check_total(len(self._entries) * height * width, limits.max_total)
        except Unusable:
            close()
            raise
        kind = PurePosixPath(self._entries[0][0]).suffix.lower().lstrip(".").replace("jpeg", "jpg")
        self.info = MediaInfo(len(self._entries), frame_rate, width, height, kind, "bgr24")

    def _first(self) -> NDArray[np.uint8]:
        """Return the first picture that has pixels."""
        for number in range(len(self._entries)):
            picture = self._decode(number)
            if picture is not None:
                return picture
        message = f"None of the {len(self._entries)} pictures can be decoded"
        raise Unusable(message, reason="NOT_AN_IMAGE", resource=self._entries[0][0])

    def _decode(self, number: int) -> NDArray[np.uint8] | None:
        """Decode a picture; None if it is damaged so that it has no pixels, and damage is tolerated."""
        name, read = self._entries[number]
        try:
            picture, damage = still.decode(read(), name, self._limits.max_pixels)
        except Unusable as error:
            if not self._tolerant or error.reason != "NOT_AN_IMAGE":
                raise
            self.damaged.add(number)
            return None
        if damage and not self._tolerant:
            message = (
                f"Frame {name} ({float(number / self._rate):.2f} s) is damaged: {damage}. Repair the picture, or "
                "tolerate damage, which labels such frames"
            )
            raise Unusable(message, reason="NOT_AN_IMAGE", resource=name)
        if damage:
            self.damaged.add(number)
        return picture

    def frames(self, start: int = 0, wanted: NDArray[np.bool_] | None = None) -> Iterator[NDArray[np.uint8]]:
        before = np.zeros((self.info.height, self.info.width, 3), np.uint8)
        for number in range(start, len(self._entries)):
            if unwanted(number, wanted) and not self._tolerant:
                yield black(self.info)
                continue
            frame = self._decode(number)
            if frame is None:
                yield before.copy()
                continue
            if frame.shape != before.shape:
                name = self._entries[number][0]
                message = (
                    f"Expected frames of {self.info.width}x{self.info.height}, the size of the first. "
                    f"{name} is {frame.shape[1]}x{frame.shape[0]}"
                )
                raise Unusable(message, reason="SIZE_CHANGES", resource=name)
            before = frame
            yield frame

    def counting(self) -> Iterator[int]:
        return iter(range(1, len(self._entries) + 1))

    def close(self) -> None:
        self._close()
