"""Small videos of moving pictures, in any container, with any time stamps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

__all__ = ["moving", "write_video"]

Picture = NDArray[np.uint8]

_QUICK = {
    "libx264": {"preset": "ultrafast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=none:frame-threads=1"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
}


def moving(count: int, width: int = 96, height: int = 64) -> list[Picture]:
    """Return pictures of a texture that moves to the side, uint8 [height, width, 3] BGR each."""
    coarse = np.random.default_rng(5).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    texture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return [np.ascontiguousarray(np.roll(texture, 3 * number, axis=1)) for number in range(count)]


def write_video(
    path: Path,
    pictures: Iterable[Picture],
    codec: str = "libx264",
    pixels: str = "yuv420p",
    *,
    rate: Fraction = Fraction(25),
    times: Sequence[int] | None = None,
    options: Mapping[str, str] | None = None,
    streams: int = 1,
) -> Path:
    """Write a video and return its path.

    Args:
        path: The file; its suffix names the container.
        pictures: Frames, uint8 [h, w, 3] BGR each.
        codec: Encoder of libav.
        pixels: Pixel format.
        rate: Frames per second that is stated.
        times: When each frame is shown, milliseconds; without them, evenly spaced.
        options: Of the encoder.
        streams: Number of equal video streams.
    """
    with av.open(str(path), "w") as out:
        made = [
            out.add_stream(codec, rate=rate, options={**_QUICK.get(codec, {}), **(options or {})})
            for _ in range(streams)
        ]
        for number, picture in enumerate(pictures):
            for stream in made:
                assert isinstance(stream, VideoStream)
                if not stream.codec_context.is_open:
                    stream.height, stream.width = picture.shape[:2]
                    stream.pix_fmt = pixels
                    stream.codec_context.thread_count = 1
                    if times is not None:
                        stream.codec_context.time_base = Fraction(1, 1000)
                frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
                if times is not None:
                    frame.pts, frame.time_base = times[number], Fraction(1, 1000)
                out.mux(stream.encode(frame))
        for stream in made:
            assert isinstance(stream, VideoStream)
            out.mux(stream.encode(None))
    return path
