"""What a source of frames is: its facts, its limits and the interface that readers implement."""

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
"""Frames per second of folders and tars that declare no rate."""

FRAME_RATES: Final = (1, 1000)
"""The lowest and the highest accepted frame rate."""


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
    """Facts about a source.

    Attributes:
        frame_count: Number of frames; None where only decoding can count them (`Source.count`).
        frame_rate: Frames per second as (numerator, denominator).
        width: Pixels, after rotation.
        height: Pixels, after rotation.
        rotation: Clockwise rotation that the container declares and the reader applies, degrees: 0, 90, 180 or 270.
        codec: Such as `h264`; for pictures their format, such as `png`.
        pixel_format: Of the stream, such as `yuv420p`; `bgr24` for pictures.
    """

    frame_count: int | None
    frame_rate: tuple[int, int]
    width: int
    height: int
    rotation: int
    codec: str
    pixel_format: str


class Source(ABC):
    """Frames in order: a context manager that can be iterated any number of times from the start."""

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
        """Count the frames; a video is decoded to its end, because a container may declare a wrong count."""

    @abstractmethod
    def close(self) -> None:
        """Close the files."""


def frame_digest(frame: NDArray[np.uint8]) -> int:
    """Digest decoded pixels: the first 8 bytes of their SHA-256, big-endian, as an unsigned 64-bit number.

    Args:
        frame: uint8 [h, w, 3] BGR.
    """
    return int.from_bytes(hashlib.sha256(np.ascontiguousarray(frame).data).digest()[:8], "big")
