"""Decodes some frames of a video: the first ones, and the last ones from the last key frame on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from facefoundry.checks.stream import Stream
from facefoundry.errors import Unusable

__all__ = ["chosen_frames", "decode"]

Frame = NDArray[np.uint8]


def chosen_frames(count: int, head: int, tail: int) -> list[int]:
    """Return the numbers of the first and last frames of a video of `count` frames, in order."""
    return sorted({*range(min(head, count)), *range(max(0, count - tail), count)})


def decode(path: Path, stream: Stream, wanted: list[int]) -> Iterator[tuple[int, Frame]]:
    """Yield (number, frame uint8 [h, w, 3] BGR) of the wanted frames, in order.

    Args:
        path: The video.
        stream: Its packets.
        wanted: Numbers of frames, ascending.

    Raises:
        Unusable: it cannot be decoded (DAMAGED).
    """
    numbers = {time: number for number, time in enumerate(stream.times)}
    starts = sorted(numbers[time] for time in stream.key_times)
    left = list(wanted)
    try:
        with av.open(str(path)) as container:
            video = container.streams.video[0]
            while left:
                place = bisect_right(starts, left[0])
                container.seek(stream.times[starts[place - 1] if place else 0], stream=video)
                next_start = starts[place] if place < len(starts) else len(stream.times)
                for frame in container.decode(video):
                    number = numbers.get(frame.pts if frame.pts is not None else -1, -1)
                    if number == left[0]:
                        yield number, np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
                    while left and left[0] <= number:
                        del left[0]
                    if not left or left[0] >= next_start:
                        break
                else:
                    return
    except av.FFmpegError as error:
        message = f"{path} cannot be decoded: {error}."
        raise Unusable(message, reason="DAMAGED", resource=str(path)) from error
