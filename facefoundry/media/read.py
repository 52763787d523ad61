"""Sources of frames: a video file, a folder of frames, or tars of frames, all read as the same uint8 BGR arrays.

Decoding is pinned: one conversion to BGR (swscale, bicubic, colour matrix and range as the stream is tagged), which
gives the pixels that `cv2.VideoCapture` and `ffmpeg` give by default. `DECODER` names the build.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path, PurePath, PurePosixPath
from types import TracebackType
from typing import NamedTuple, Self

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from numpy.typing import NDArray

from facefoundry.errors import Unusable
from facefoundry.media import still
from facefoundry.media.extent import missing_bytes

__all__ = ["DECODER", "ReadLimits", "MediaInfo", "Source", "frame_digest", "open_source"]


def _version(name: str) -> str:
    return ".".join(str(number) for number in av.library_versions[name])


DECODER = (
    f"av {av.__version__}, libavcodec {_version('libavcodec')}, libswscale {_version('libswscale')}, "
    f"opencv {cv2.__version__}"
)
"""The build that decodes; recorded beside every digest of decoded frames."""

DEFAULT_FRAME_RATE = (25, 1)
"""Frames per second of folders and tars that say nothing else."""

FRAME_RATES = (1, 1000)
"""The lowest and the highest frame rate that is taken."""

# Containers that hold one file's media and refer to nothing outside it: no playlists, no concat scripts, no devices.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,h264,hevc,ivf,nut,gif,apng"
# What is made of a damaged picture depends on the number of threads, and with two even on the run; one decodes with a
# tenth less computing, and sequences are decoded side by side.
_DECODING_THREADS = 1


@dataclass(frozen=True)
class ReadLimits:
    """The largest media that is accepted.

    Attributes:
        max_pixels: Width times height of a frame.
        max_frames: Frames of one source.
    """

    max_pixels: int = 8192 * 4320
    max_frames: int = 1_000_000


@dataclass(frozen=True)
class MediaInfo:
    """What a source says of itself.

    Attributes:
        frame_count: Number of frames, None where only decoding tells (`Source.count`).
        frame_rate: Frames per second as (numerator, denominator).
        width: Pixels, after rotation.
        height: Pixels, after rotation.
        rotation: Clockwise rotation that was asked for and is applied, degrees: 0, 90, 180 or 270.
        codec: Such as `h264`; for frames the kind of picture, such as `png`.
        pixel_format: Of the stream, such as `yuv420p`; `bgr24` for frames.
    """

    frame_count: int | None
    frame_rate: tuple[int, int]
    width: int
    height: int
    rotation: int
    codec: str
    pixel_format: str


class Source(ABC):
    """Frames in order; a context manager, and iterable any number of times from the start."""

    info: MediaInfo

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return self.frames()

    @abstractmethod
    def frames(self, start: int = 0) -> Iterator[NDArray[np.uint8]]:
        """Yield frames from number `start` (from 0), each uint8 [h, w, 3] BGR, rotated, contiguous.

        Raises:
            Unusable: the media ends early or cannot be decoded.
        """

    @abstractmethod
    def count(self) -> int:
        """Count the frames; decodes a video to its end, since what a container says of itself may be wrong."""

    @abstractmethod
    def close(self) -> None:
        """Free the file."""


def frame_digest(frame: NDArray[np.uint8]) -> int:
    """Digest decoded pixels: the first 8 bytes of their SHA-256, big-endian, as an unsigned 64-bit number.

    Args:
        frame: uint8 [h, w, 3] BGR.
    """
    return int.from_bytes(hashlib.sha256(np.ascontiguousarray(frame).data).digest()[:8], "big")


def open_source(
    path: Path | str | Sequence[Path | str],
    *,
    frame_rate: tuple[int, int] | None = None,
    limits: ReadLimits | None = None,
) -> Source:
    """Open a video file, a folder of numbered frames, a tar of numbered frames, or several tars that make one source.

    Args:
        path: The file or folder, or the tars in any order.
        frame_rate: Frames per second of a folder or tar, as (numerator, denominator); videos say it themselves.
        limits: Largest media that is accepted.

    Returns:
        The source, opened; close it or use it as a context manager.

    Raises:
        Unusable: NOT_A_VIDEO, CODEC, TRUNCATED, FRAME_RATE, NOT_AN_IMAGE, NO_FRAMES, FRAME_GAP, FRAME_NAME,
            FRAME_TWICE, TOO_LARGE, SIZE_CHANGES or PIXEL_FORMAT.
    """
    paths = [Path(path)] if isinstance(path, Path | str) else [Path(part) for part in path]
    limits = limits or ReadLimits()
    if not paths:
        raise Unusable("A source needs at least one file; received none", reason="NO_FRAMES")
    for part in paths:
        if not part.exists():
            raise Unusable(f"There is no file or folder {part.name}", reason="NOT_A_VIDEO", resource=part.name)
    if len(paths) == 1 and paths[0].is_dir():
        entries = [(item.name, item.read_bytes) for item in sorted(paths[0].iterdir()) if item.is_file()]
        return _Frames(entries, frame_rate or DEFAULT_FRAME_RATE, limits, lambda: None)
    if all(part.is_file() and part.suffix == ".tar" for part in paths):
        tars = _Tars(paths)
        return _Frames(tars.entries, frame_rate or DEFAULT_FRAME_RATE, limits, tars.close)
    if len(paths) == 1:
        return _Video(paths[0], limits)
    raise Unusable("Several files make one source only when all are tars of frames", reason="NOT_A_VIDEO")


_Entry = tuple[str, Callable[[], bytes]]


class _Tars:
    """Members of uncompressed tars, read in place and never unpacked."""

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
                raise Unusable(f"{path.name} is no tar of frames", reason="NOT_A_VIDEO", resource=path.name) from error
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
    """Sort pictures by the number their names end in and see that none is missing or there twice."""
    numbered = []
    for name, read in entries:
        file = PurePath(name)
        if file.suffix.lower() not in still.SUFFIXES or file.name.startswith("."):
            continue
        match = re.search(r"([0-9]{1,12})$", file.stem)
        if match is None:
            message = f"Frame names end in their number, such as 0001.png; received {name}"
            raise Unusable(message, reason="FRAME_NAME", resource=name)
        numbered.append(_Numbered(int(match.group(1)), name, read))
    if not numbered:
        raise Unusable("The source holds no png, jpg or bmp frames", reason="NO_FRAMES")
    if len(numbered) > max_frames:
        raise Unusable(f"The source has {len(numbered)} frames; at most {max_frames} are accepted", reason="TOO_LARGE")
    numbered.sort(key=lambda entry: (entry.number, entry.name))
    for before, after in pairwise(numbered):
        if after.number == before.number:
            message = f"Frame {after.number} is there twice: {before.name} and {after.name}"
            raise Unusable(message, reason="FRAME_TWICE", resource=after.name)
        if after.number != before.number + 1:
            missing = before.number + 1
            message = f"Frame {missing} is missing: {before.name} is followed by {after.name}"
            raise Unusable(message, reason="FRAME_GAP", metadata={"missing": str(missing)}, resource=after.name)
    return numbered


class _Frames(Source):
    """Numbered pictures, all of one size."""

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
                    f"All frames have one size, here {self.info.width}x{self.info.height}; "
                    f"{entry.name} is {frame.shape[1]}x{frame.shape[0]}"
                )
                raise Unusable(message, reason="SIZE_CHANGES", resource=entry.name)
            yield frame

    def count(self) -> int:
        return len(self._entries)

    def close(self) -> None:
        self._close()


class _Video(Source):
    """One video stream of a file; opened anew for every pass."""

    def __init__(self, path: Path, limits: ReadLimits) -> None:
        self._path = path
        self._limits = limits
        self._count: int | None = None
        self._size: tuple[int, int] | None = None
        lacking = missing_bytes(path)
        if lacking:
            raise self._unusable("TRUNCATED", f"is cut off: at least {lacking} bytes are missing at its end")
        with self._open() as container:
            stream = self._stream(container)
            self._check_pixels(stream.codec_context.width, stream.codec_context.height)
            first = next(self._decoded(container, stream), None)
            if first is None:
                raise self._unusable("NO_FRAMES", "holds no frame that can be decoded")
            self._turns = round(first.rotation / 90) % 4
            self._size = (first.width, first.height)
            rate = self._frame_rate(stream)
            width, height = (first.width, first.height) if self._turns % 2 == 0 else (first.height, first.width)
            self.info = MediaInfo(
                frame_count=None,
                frame_rate=(rate.numerator, rate.denominator),
                width=width,
                height=height,
                rotation=-self._turns * 90 % 360,
                codec=stream.codec_context.name,
                pixel_format=stream.codec_context.pix_fmt or "",
            )

    def _open(self) -> InputContainer:
        try:
            container: InputContainer = av.open(
                f"file:{self._path.resolve()}",
                options={"protocol_whitelist": "file", "format_whitelist": _CONTAINERS},
                metadata_errors="replace",
            )
        except (av.FFmpegError, ValueError) as error:
            message = f"{self._path.name} is no video file that can be read: {_reason(error)}"
            raise Unusable(message, reason="NOT_A_VIDEO", resource=self._path.name) from error
        return container

    def _stream(self, container: InputContainer) -> VideoStream:
        """The first stream of moving pictures; a cover is none."""
        streams = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
        if not streams:
            raise self._unusable("NOT_A_VIDEO", "holds no video stream")
        stream = streams[0]
        if stream.codec_context is None:
            raise self._unusable("CODEC", "holds video of a kind that cannot be decoded here")
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = _DECODING_THREADS
        return stream

    def _frame_rate(self, stream: VideoStream) -> Fraction:
        """The first of the rates the stream says that can be one."""
        said = [Fraction(rate) for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate) if rate]
        if not said:
            return Fraction(*DEFAULT_FRAME_RATE)
        low, high = FRAME_RATES
        rate = next((rate for rate in said if low <= rate <= high), None)
        if rate is None:
            what = f"says it has {float(said[0]):g} frames per second; {low} to {high} are accepted"
            raise self._unusable("FRAME_RATE", what)
        return rate

    def _decoded(self, container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
        """Yield decoder frames; a file that stops in the middle is an error and not a shorter clip."""
        frames = 0
        try:
            for packet in container.demux(stream):
                if packet.is_corrupt:
                    raise self._unusable("TRUNCATED", f"ends within frame {frames}")
                for frame in packet.decode():
                    self._check_pixels(frame.width, frame.height)
                    if self._size not in (None, (frame.width, frame.height)):
                        what = f"changes its size to {frame.width}x{frame.height} at frame {frames}"
                        raise self._unusable("SIZE_CHANGES", what)
                    if frames == self._limits.max_frames:
                        raise self._unusable("TOO_LARGE", f"has more than {frames} frames")
                    frames += 1
                    yield frame
        except av.FFmpegError as error:
            raise self._unusable("TRUNCATED", f"cannot be decoded after frame {frames}: {_reason(error)}") from error

    def _unusable(self, reason: str, what: str) -> Unusable:
        return Unusable(f"{self._path.name} {what}", reason=reason, resource=self._path.name)

    def _check_pixels(self, width: int, height: int) -> None:
        if width * height > self._limits.max_pixels:
            what = f"is {width}x{height}; at most {self._limits.max_pixels} pixels are accepted"
            raise self._unusable("TOO_LARGE", what)

    def frames(self, start: int = 0) -> Iterator[NDArray[np.uint8]]:
        with self._open() as container:
            for number, frame in enumerate(self._decoded(container, self._stream(container))):
                if number >= start:
                    yield np.ascontiguousarray(np.rot90(self._pixels(frame), self._turns), np.uint8)

    def _pixels(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        try:
            return np.asarray(frame.reformat(format="bgr24", interpolation="BICUBIC").to_ndarray(), np.uint8)
        except (av.FFmpegError, ValueError) as error:
            what = f"has pixels of the kind {frame.format.name}, which cannot be converted: {_reason(error)}"
            raise self._unusable("PIXEL_FORMAT", what) from error

    def count(self) -> int:
        if self._count is None:
            with self._open() as container:
                self._count = sum(1 for _ in self._decoded(container, self._stream(container)))
        return self._count

    def close(self) -> None:
        """Nothing is held open between passes."""


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
