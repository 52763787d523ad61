"""Reads the times of a video's packets, and finds by them where frames are missing.

Demuxers leave out what they cannot read, and decoders what precedes the first key frame, without an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

__all__ = ["WITHOUT_TIMES", "PacketTimes", "read_times"]

WITHOUT_TIMES: Final = frozenset({"h264", "hevc", "mpegvideo"})
"""Containers without time stamps. libavformat invents some, for 25 frames per second."""

# The headers of these state a length. That of others is computed from what is there.
_STATING: Final = frozenset({"asf", "avi", "flv", "ivf", "matroska,webm"})
# These count the time by which the first frame is shown later than it is decoded.
_DELAYED: Final = frozenset({"asf", "flv"})
# A gap is as long as this many usual intervals, so that there is room for a frame in it.
_GAP: Final = 1.75
# With a larger share of gaps, the frames of a clip are uneven, and not missing.
_FEW: Final = 0.1
# A stated length may be a little longer than what is there, measured in frames.
_SLACK: Final = 0.75
# How long the only frame of a clip may be shown, seconds.
_LONGEST: Final = 1


@dataclass
class PacketTimes:
    """When the frames of a stream are shown.

    Attributes:
        stamps: Time stamps in the order of the file, in units of `base`; empty if the container has none.
        base: Unit of the time stamps, seconds.
        sound: Start and end of the sound, seconds; None if there is none.
        stated: Seconds that the container states for frames and sound; None if it states none.
        is_delayed: Whether these begin before the first frame is shown, because it is decoded earlier.
    """

    stamps: list[int]
    base: Fraction
    sound: tuple[Fraction, Fraction] | None = None
    stated: Fraction | None = None
    is_delayed: bool = False

    def place(self, stamp: int | None, read: int) -> str:
        """Name the frame with a time stamp; `read` is the number of frames before it, if it has none."""
        if stamp is None or not self.stamps:
            return f"frame {read}"
        seconds = float((stamp - min(self.stamps)) * self.base)
        return f"frame {sum(other < stamp for other in self.stamps)} ({max(0.0, seconds):.2f} s)"

    def ends_at(self, stamp: int | None) -> bool:
        """Return whether the frame with a time stamp is the last one of the file."""
        return bool(self.stamps) and stamp in (None, self.stamps[-1])

    def missing(self, first: int | None) -> Iterator[str]:
        """Yield sentences on missing frames, for people.

        Args:
            first: Time stamp of the first frame that was decoded; None if it has none.
        """
        if not self.stamps:
            return
        times = np.sort(np.asarray(self.stamps, np.int64))
        early = 0 if first is None else np.searchsorted(times, first)
        if early:
            yield f"Its first {'frame' if early == 1 else f'{early} frames'} cannot be decoded and will be left out."
        intervals = np.diff(times)
        usual = float(np.median(intervals[intervals > 0])) if intervals.any() else 0.0
        gaps = np.flatnonzero(intervals > _GAP * usual)
        if 0 < len(gaps) <= max(1, _FEW * len(intervals)):
            room = int((intervals[gaps] / usual).round().sum()) - len(gaps)
            where = self.place(int(times[gaps[0]]), 0)
            frames = "1 frame" if room == 1 else f"{room} frames"
            yield f"{frames} may be missing: its time stamps have gaps, the first after {where}."
        length = self._length(int(times[0]), int(times[-1]), Fraction(usual))
        slack = (_SLACK + self.is_delayed) * usual * self.base if usual else _LONGEST
        if self.stated is not None and self.stated - length > slack:
            lengths = f"{float(self.stated):.2f} s, but what can be read takes {float(length):.2f} s"
            yield f"Frames may be missing: it states a length of {lengths}."

    def _length(self, first: int, last: int, usual: Fraction) -> Fraction:
        """Return the seconds from the first to the end of the last frame, with the sound that is there."""
        begin, end = 0 if self.is_delayed else first * self.base, (last + usual) * self.base
        if self.sound:
            begin, end = min(begin, self.sound[0]), max(end, self.sound[1])
        return end - begin


def read_times(container: InputContainer, stream: VideoStream) -> PacketTimes:
    """Read the times of all packets that are shown.

    Args:
        container: The container, of which nothing was read yet.
        stream: The stream whose frames are read.
    """
    base, name = Fraction(stream.time_base or 1), container.format.name
    if name in WITHOUT_TIMES:
        return PacketTimes([], base)
    stamps, sound, is_delayed = list[int](), list[int](), False
    sounds = container.streams.audio[:1]
    with suppress(av.FFmpegError):  # decoding reports it with its place
        for packet in container.demux([stream, *sounds]):
            if packet.pts is None or packet.is_discard:
                continue
            if packet.stream_index == stream.index:
                is_delayed = is_delayed if stamps else packet.dts is not None and packet.dts < packet.pts
                stamps.append(packet.pts)
            else:
                sound += (packet.pts, packet.pts + (packet.duration or 0))
    stated = container.duration if name in _STATING else None
    unit = Fraction(sounds[0].time_base or 1) if sounds else base
    return PacketTimes(
        stamps,
        base,
        sound=(min(sound) * unit, max(sound) * unit) if sound else None,
        stated=None if stated is None else Fraction(stated, av.time_base),
        is_delayed=is_delayed and name in _DELAYED,
    )
