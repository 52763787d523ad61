"""The files of a dataset that its pages show: its record, its pictures and its videos, wherever they are.

A page names pairs and items, never paths. So nothing else than these files can be reached through a `Source`.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from facefoundry.dataset.layout import Layout
from facefoundry.dataset.run_folder import RUN_FILE
from facefoundry.dataset.samples import Pictures, find_samples
from facefoundry.errors import NotFound

__all__ = ["FolderSource", "Source", "Version", "Video"]

_JPEG: Final = b"\xff\xd8\xff"
_ITEM = re.compile(r"[A-Za-z0-9-]{1,240}(_[A-Za-z0-9-]{1,240})?")
_LEVEL = re.compile(r"[A-Za-z0-9]{1,32}")
_PICTURE = re.compile(r"[A-Za-z0-9_-]{1,240}/[A-Za-z0-9_-]{1,240}\.jpg")
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Version:
    """A state of a file: when it was written, seconds since 1970, and a text that no other state has."""

    modified: float
    tag: str


@dataclass(frozen=True)
class Video:
    """A video of a dataset: its size in bytes, and a text that no other state of it has."""

    size: int
    tag: str


class Source(ABC):
    """The files of one dataset. Many threads may share it.

    Attributes:
        layout: Names the paths of the files.
        place: Where the dataset is, for the user.
    """

    layout: Layout
    place: str

    @abstractmethod
    def versions(self) -> Mapping[str, Version]:
        """Return the files of the record by name, such as `run.json` and `pairs/033_097.json`.

        Raises:
            NotFound: there is no run record.
        """

    @abstractmethod
    def record(self, name: str) -> bytes | None:
        """Read a file of the record; None if there is none."""

    def records(self, names: Sequence[str]) -> Iterator[bytes | None]:
        """Read several files of the record, in order."""
        return map(self.record, names)

    @abstractmethod
    def list_file(self, path: Path) -> bytes | None:
        """Read a file beside the filelist, such as a split; None if there is none.

        Args:
            path: Its path in the layout.
        """

    @abstractmethod
    def samples(self, item: str) -> Pictures:
        """Return the paths of the sample pictures of a sequence or a fake, relative to the run's folder."""

    @abstractmethod
    def _picture(self, file: str) -> bytes | None:
        """Read a picture whose path has the right form."""

    @abstractmethod
    def _video(self, path: Path) -> Video | None:
        """Return what is known of a video; None if there is none."""

    @abstractmethod
    def _blocks(self, path: Path, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes of a video from `start` to before `stop`."""

    def picture(self, file: str) -> bytes | None:
        """Read a JPEG picture of the record.

        Args:
            file: Its path relative to the run's folder, as the record has it.

        Returns:
            Its bytes; None if there is no such file, or it is no JPEG.
        """
        data = self._picture(file) if self.is_picture(file) else None
        return data if data is not None and data.startswith(_JPEG) else None

    def is_picture(self, file: str) -> bool:
        """Return whether a path can be that of a picture, relative to the run's folder."""
        return _PICTURE.fullmatch(file) is not None

    def video(self, kind: str, level: str, item: str) -> Video | None:
        """Return what is known of a video; None if there is none.

        Args:
            kind: `real` or `fake`.
            level: Name of the compression level.
            item: Id of the sequence or the fake.
        """
        path = self.video_path(kind, level, item)
        return self._video(path) if path is not None else None

    def video_blocks(self, kind: str, level: str, item: str, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes of a video from `start` to before `stop`.

        Raises:
            NotFound: there is no such video.
        """
        path = self.video_path(kind, level, item)
        if path is None:
            raise NotFound(f"Expected the id of a video. Received {item!r}.", reason="NO_SUCH_VIDEO")
        return self._blocks(path, start, stop)

    def video_path(self, kind: str, level: str, item: str) -> Path | None:
        """Return the path of a video in the layout; None if the names cannot be those of one."""
        if not _LEVEL.fullmatch(level) or not _ITEM.fullmatch(item):
            return None
        return (self.layout.fake_video if kind == "fake" else self.layout.real_video)(level, item)


class FolderSource(Source):
    """A dataset in a folder of this machine. Links that leave the folder are not followed."""

    def __init__(self, layout: Layout) -> None:
        self.layout, self.place = layout, str(layout.root)
        self._run_folder = layout.run_folder()

    def versions(self) -> Mapping[str, Version]:
        """Return the files of the record."""
        found = {}
        for path in (*self._run_folder.glob("*.json"), *(self._run_folder / "pairs").glob("*.json")):
            with suppress(OSError):  # it is being replaced
                status = path.stat()
                name = path.relative_to(self._run_folder).as_posix()
                found[name] = Version(status.st_mtime, f"{status.st_mtime_ns}-{status.st_size}-{status.st_ino}")
        if RUN_FILE not in found:
            path = self._run_folder / RUN_FILE
            message = f"{path} does not exist. Give the output folder of a dataset run."
            raise NotFound(message, reason="NO_RUN", resource=str(path))
        return found

    def record(self, name: str) -> bytes | None:
        """Read a file of the record."""
        return self._read(self._run_folder / name)

    def list_file(self, path: Path) -> bytes | None:
        """Read a file beside the filelist."""
        return self._read(path)

    def samples(self, item: str) -> Pictures:
        """Return the sample pictures of a sequence or a fake."""
        return find_samples(self.layout, item) if _ITEM.fullmatch(item) else {}

    def _picture(self, file: str) -> bytes | None:
        with suppress(OSError):  # it was replaced or removed, or may not be read
            return self._read(self._run_folder / file)
        return None

    def _video(self, path: Path) -> Video | None:
        with suppress(OSError):
            if self._is_inside(path):
                with path.open("rb") as file:
                    status = os.fstat(file.fileno())
                return Video(status.st_size, f"{status.st_mtime_ns:x}-{status.st_size:x}")
        return None

    def _blocks(self, path: Path, start: int, stop: int) -> Iterator[bytes]:
        if not self._is_inside(path):
            raise NotFound(f"{path} does not exist.", reason="NO_SUCH_VIDEO", resource=str(path))
        with path.open("rb") as file:
            file.seek(start)
            while start < stop and (block := file.read(min(_BLOCK_BYTES, stop - start))):
                start += len(block)
                yield block

    def _read(self, path: Path) -> bytes | None:
        return path.read_bytes() if self._is_inside(path) else None

    def _is_inside(self, path: Path) -> bool:
        """Return whether a path is a file within the dataset, links resolved."""
        return path.is_file() and path.resolve().is_relative_to(self.layout.root.resolve())
