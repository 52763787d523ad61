"""Finds the damaged frames of a video: where a decoder reports an error, and what is predicted from there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import av
from av.container import InputContainer
from av.video.stream import VideoStream

__all__ = ["Fault", "Spans", "Spread", "reason_of", "steps"]

_INCOMPLETE = "data is missing"
_GUESSED = "the decoder had to fill in parts of the picture"


@dataclass(frozen=True)
class Fault:
    """An error that a demuxer or decoder reports.

    Attributes:
        stamp: Time stamp of the frame, in units of the stream's time base; None if unknown.
        what: What is wrong, in words that follow a colon.
        is_lost: Whether there is no picture.
    """

    stamp: int | None
    what: str
    is_lost: bool = False


def reason_of(error: Exception) -> str:
    """Return what an error of libav says."""
    return str(getattr(error, "strerror", None) or error)


def steps(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame | Fault]:
    """Decode a stream to its end. Yield the frames, and each fault before the frames that it concerns."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            yield Fault(None, reason_of(error))
            packet = None
        if packet is not None and packet.is_corrupt:
            yield Fault(packet.pts, _INCOMPLETE)
        try:
            frames = stream.decode(packet)
        except av.EOFError:  # the decoder was flushed before
            return
        except av.FFmpegError as error:
            yield Fault(None, reason_of(error)) if packet is None else Fault(packet.pts, reason_of(error), is_lost=True)
            frames = []
        for frame in frames:
            if frame.is_corrupt:
                yield Fault(frame.pts, _GUESSED)
            yield frame
        if packet is None:
            return


class Spread:
    """Follows damage from frame to frame: what a fault spoils, all frames show until the next undamaged key frame."""

    def __init__(self) -> None:
        self._since: int | None = None
        self._spoiled = False

    def fault(self, fault: Fault) -> None:
        """Take note of a fault, before the frame that it concerns."""
        self._spoiled = True
        self._since = fault.stamp

    def spoils(self, frame: av.VideoFrame) -> bool:
        """Return whether the next frame is damaged."""
        is_later = self._since is None or frame.pts is None or frame.pts > self._since
        if self._spoiled and frame.key_frame and not frame.is_corrupt and is_later:
            self._spoiled = False
        return self._spoiled


@dataclass
class Spans:
    """Spans of time in which a video is damaged, as pairs of the first and the last time stamp."""

    found: list[tuple[int, int]] = field(default_factory=list)

    @classmethod
    def of(cls, items: Iterable[av.VideoFrame | Fault]) -> Spans:
        """Find the damaged spans of a video that is decoded strictly."""
        spread, stamps, spans = Spread(), list[int](), cls()
        for item in items:
            if isinstance(item, Fault):
                spread.fault(item)
            elif not spread.spoils(item):
                spans._end(stamps)
                continue
            stamp = item.stamp if isinstance(item, Fault) else item.pts
            if stamp is not None:
                stamps.append(stamp)
        spans._end(stamps)
        return spans

    def _end(self, stamps: list[int]) -> None:
        if stamps:
            self.found.append((min(stamps), max(stamps)))
            stamps.clear()

    def __contains__(self, stamp: int | None) -> bool:
        """Return whether a time stamp is in one of the spans."""
        return stamp is not None and any(first <= stamp <= last for first, last in self.found)
