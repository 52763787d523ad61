"""Takes the sound of a clip, and puts it beside the pictures of a video. Nothing is encoded again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from facefoundry.media.packets import read_times

__all__ = ["take", "with_sound"]

_FORMAT: Final = "mp4"
_LATE: Final = 0.5
"""Frames may be shown this part of a frame earlier or later than in the clip."""


def take(folder: str, source: str, path: str, frames: int, fps: str) -> Iterator[str]:
    """Write the sound of a clip that is heard while its frames are shown, and yield why not; empty if it is written.

    It begins at 0 with the first frame. A packet that begins before it, or after the last frame, is left out.

    Args:
        folder: Folder to write to.
        source: Path of the clip.
        path: The file, below `folder`.
        frames: Number of frames of the dataset's videos.
        fps: Their frame rate as a fraction; they are evenly spaced.
    """
    try:
        found = _begin(source, frames, Fraction(fps))
        if isinstance(found, Fraction):
            found = _copy_sound(source, Path(folder) / path, found, frames / Fraction(fps))
    except av.FFmpegError as error:
        found = f"its clip cannot be read: {error.strerror}"
    yield found


def with_sound(folder: str, video: str, sound: str, path: str) -> Iterator[int]:
    """Write a video with a sound beside its pictures, packet by packet as they are, and yield the number of packets.

    Args:
        folder: Folder to write to.
        video: Path of the video.
        sound: Path of a file that `take` has written.
        path: The file, below `folder`.
    """
    with (
        av.open(video) as pictures,
        av.open(sound) as heard,
        av.open(str(Path(folder) / path), "w", format=_FORMAT, options={"write_btrt": "0"}) as out,
    ):
        streams: list[tuple[av.container.InputContainer, Stream]] = [
            (pictures, pictures.streams.video[0]),
            (heard, heard.streams.audio[0]),
        ]
        targets = [out.add_stream_from_template(stream) for _, stream in streams]
        packets = [
            (packet, target)
            for (container, stream), target in zip(streams, targets, strict=True)
            for packet in container.demux(stream)
            if packet.dts is not None
        ]
        packets.sort(key=lambda pair: (pair[0].dts or 0) * Fraction(pair[0].time_base or 1))
        for packet, target in packets:
            packet.stream = target
            out.mux(packet)
        yield len(packets)


def _begin(source: str, frames: int, rate: Fraction) -> Fraction | str:
    """Return when the first frame is shown in a clip, seconds, or why its frames are not in step with its sound."""
    with av.open(source) as clip:
        if not clip.streams.audio:
            return "its clip has none"
        times = read_times(clip, clip.streams.video[0])
    with av.open(source) as clip:
        picture = next(clip.decode(video=0), None)
    if picture is None or picture.pts is None or not times.stamps:
        return "its clip has no time stamps"
    first = picture.pts
    stamps = sorted(stamp for stamp in times.stamps if stamp >= first)
    if len(stamps) != frames:
        return f"its clip has time stamps for {len(stamps)} frames, and its videos have {frames}"
    shown = np.array([float((stamp - first) * times.base * rate) for stamp in stamps])
    worst = float(np.abs(shown - np.arange(frames)).max())
    if worst > _LATE:
        return f"its frames are evenly spaced here, and up to {worst / float(rate):.2f} s apart from that in its clip"
    return first * times.base


def _copy_sound(source: str, path: Path, begin: Fraction, length: Fraction) -> str:
    """Write the packets of the sound that begin in a time, and return why they cannot be; empty if they are."""
    with av.open(source) as clip:
        stream = clip.streams.audio[0]
        try:
            with av.open(str(path), "w", format=_FORMAT) as out:
                count = _copy(stream, clip.demux(stream), out, begin, length)
        except (av.FFmpegError, ValueError):
            return f"its sound, {stream.codec_context.name}, cannot be in an MP4 file"
    return "" if count else "the clip has none while frames are shown"


def _copy(
    stream: AudioStream, packets: Iterable[Packet[AudioStream]], out: OutputContainer, begin: Fraction, length: Fraction
) -> int:
    target, base = out.add_stream_from_template(stream), Fraction(stream.time_base or 1)
    offset, count = round(begin / base), 0
    for packet in packets:
        if packet.pts is None or packet.dts is None or packet.is_discard:
            continue
        if not 0 <= packet.pts - offset < length / base:
            continue
        packet.pts, packet.dts = packet.pts - offset, packet.dts - offset
        packet.stream = target
        out.mux(packet)
        count += 1
    return count
