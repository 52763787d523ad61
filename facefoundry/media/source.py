"""Defines the interface of a source of frames, with its facts and limits. `video` and `pictures` implement it."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["DEFAULT_FRAME_RATE", "FRAME_RATES", "MediaInfo", "ReadLimits", "Source", "frame_digest"]

DEFAULT_FRAME_RATE: Final = (25, 1)
"""Frames per second of media that declare no frame rate."""

FRAME_RATES: Final = (1, 1000)
"""The lowest and the highest accepted number of frames per second."""


@dataclass(frozen=True)
class ReadLimits:
    """The largest media that is accepted.

    Attributes:
        max_pixels: Largest width times height of a frame.
        max_frames: Largest number of frames of a source.
    """

    max_pixels: int = 8192 * 4320
    max_frames: int = 1_000_000


@dataclass(frozen=True)
class MediaInfo:
    """Facts about a source.

    Attributes:
        frame_count: Number of frames; None for a video, whose frames only decoding can count (`Source.count`).
        frame_rate: Frames per second as (numerator, denominator).
        width: Width of a frame after rotation, pixels.
        height: Height of a frame after rotation, pixels.
        rotation: Clockwise rotation that the container declares and the reader applies, degrees: 0, 90, 180 or 270.
        codec: Name of the video codec, such as `h264`, or of the picture format, such as `png`.
        pixel_format: FFmpeg's name of the pixel format, such as `yuv420p`; `bgr24` for pictures.
    """

    frame_count: int | None
    frame_rate: tuple[int, int]
    width: int
    height: int
    rotation: int
    codec: str
    pixel_format: str


class Source(ABC):
    """A video file or numbered pictures, read as frames. It is a context manager and may be iterated more than once."""

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
        """Yield the frames in order, each uint8 [h, w, 3] BGR, upright and contiguous in memory.

        Args:
            start: Number of the first frame to yield; the first frame of the source is 0.

        Raises:
            Unusable: the media ends early or cannot be decoded.
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


def frame_digest(frame: NDArray[np.uint8]) -> int:
    """Return a digest of a frame's pixels: the first 8 bytes of their SHA-256, as a big-endian number.

    Args:
        frame: uint8 [h, w, 3] BGR.
    """
    return int.from_bytes(hashlib.sha256(np.ascontiguousarray(frame).data).digest()[:8], "big")
