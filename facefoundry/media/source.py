"""Defines the interface of a source of frames, with its facts and limits. `video` and `pictures` implement it."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facefoundry.media.orientation import AS_STORED, Orientation

__all__ = [
    "DEFAULT_FRAME_RATE",
    "FRAME_RATES",
    "Basis",
    "MediaInfo",
    "ReadLimits",
    "Source",
    "black",
    "frame_digest",
    "rate_text",
    "unwanted",
]

DEFAULT_FRAME_RATE: Final = (25, 1)
"""Frames per second of media that declare no frame rate."""

FRAME_RATES: Final = (1, 1000)
"""The lowest and the highest accepted number of frames per second."""

Basis: TypeAlias = Literal["stated", "measured", "variable", "given", "assumed"]
"""How a frame rate was found: `stated` by the container, `measured` from time stamps that differ from the stated rate,
`variable` if it is the average of uneven time stamps, `given` by the caller, `assumed` if the clip tells none."""


@dataclass(frozen=True)
class ReadLimits:
    """The largest media that is accepted.

    Attributes:
        max_pixels: Largest width times height of a frame.
        max_frames: Largest number of frames of a source.
        max_total: Largest number of pixels of all its frames together.
    """

    max_pixels: int = 8192 * 4320
    max_frames: int = 1_000_000
    max_total: int = 1 << 62


@dataclass(frozen=True)
class MediaInfo:
    """Facts about a source.

    Attributes:
        frame_count: Number of frames; None for a video, whose frames only decoding can count (`Source.count`).
        frame_rate: Frames per second as (numerator, denominator).
        width: Width of an upright frame, pixels.
        height: Height of an upright frame, pixels.
        codec: Name of the video codec, such as `h264`, or of the picture format, such as `png`.
        pixel_format: FFmpeg's name of the pixel format, such as `yuv420p`; `bgr24` for pictures.
        orientation: The rotation and mirroring that the clip declares and the reader applies.
        rate_basis: How the frame rate was found.
        stated_rate: Frames per second that the container states, as (numerator, denominator); None if it states none.
        other_streams: The video streams that are not read, such as `1 (h264, 640x480)`.
        missing: Sentences on frames that seem to be missing, for people.
    """

    frame_count: int | None
    frame_rate: tuple[int, int]
    width: int
    height: int
    codec: str
    pixel_format: str
    orientation: Orientation = AS_STORED
    rate_basis: Basis = "given"
    stated_rate: tuple[int, int] | None = None
    other_streams: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def remarks(self) -> list[str]:
        """Return sentences on what is doubtful about the clip, for people."""
        rate, sentences = rate_text(self.frame_rate), []
        if self.rate_basis == "measured":
            stated = f"states {rate_text(self.stated_rate)} frames per second" if self.stated_rate else "states no rate"
            sentences.append(f"It {stated}, but its time stamps show {rate}, which is used.")
        elif self.rate_basis == "variable":
            sentences.append(f"Its frames are not evenly spaced in time. The average of {rate} per second is used.")
        elif self.rate_basis == "assumed":
            sentences.append(f"It has no frame rate and no time stamps. {rate} frames per second are assumed.")
        if self.other_streams:
            streams = ", ".join(self.other_streams)
            sentences.append(
                f"It has {len(self.other_streams) + 1} video streams. Only the first is used, not {streams}."
            )
        return [*sentences, *self.missing]


def rate_text(rate: tuple[int, int]) -> str:
    """Return a frame rate for people, such as 25 or 29.97."""
    return f"{rate[0] / rate[1]:.6g}" if rate[0] / rate[1] >= 100 else f"{rate[0] / rate[1]:.4g}"


class Source(ABC):
    """A video file or numbered pictures, read as frames. It is a context manager and may be iterated more than once.

    Attributes:
        info: Facts about the source.
        damaged: Numbers of the frames that are damaged, of those read so far; always empty unless damage is tolerated.
    """

    info: MediaInfo
    damaged: set[int]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return self.frames()

    @abstractmethod
    def frames(self, start: int = 0, wanted: NDArray[np.bool_] | None = None) -> Iterator[NDArray[np.uint8]]:
        """Yield the frames in order, each uint8 [h, w, 3] BGR, upright and contiguous in memory.

        Args:
            start: Number of the first frame to yield; the first frame of the source is 0.
            wanted: bool [n], whether the pixels of each of the first n frames are wanted; None for all. In place of one
                that is not, a black frame is yielded, read-only and not contiguous. That saves its conversion to BGR,
                which takes about as long as its decoding.

        Raises:
            Unusable: the media cannot be decoded, or is damaged (DAMAGED, TRUNCATED, NOT_AN_IMAGE) and damage is not
                tolerated.
        """

    @abstractmethod
    def counting(self) -> Iterator[int]:
        """Yield 1, 2 and so on, once for each frame. A video is decoded, because a container may state a wrong count.

        Raises:
            Unusable: as `frames`.
        """

    def count(self) -> int:
        """Count the frames; a video is decoded to its end."""
        return sum(1 for _ in self.counting())

    @abstractmethod
    def close(self) -> None:
        """Close the files."""


def unwanted(number: int, wanted: NDArray[np.bool_] | None) -> bool:
    """Return whether a frame's pixels are not wanted; `wanted` as in `Source.frames`."""
    return wanted is not None and number < len(wanted) and not wanted[number]


def black(info: MediaInfo) -> NDArray[np.uint8]:
    """Return a black frame, uint8 [h, w, 3], read-only. Its strides are 0, so it takes one byte of memory."""
    return np.broadcast_to(np.zeros((), np.uint8), (info.height, info.width, 3))


def frame_digest(frame: NDArray[np.uint8]) -> int:
    """Return a digest of a frame's pixels: the first 8 bytes of their SHA-256, as a big-endian number.

    Args:
        frame: uint8 [h, w, 3] BGR.
    """
    return int.from_bytes(hashlib.sha256(np.ascontiguousarray(frame).data).digest()[:8], "big")
