"""Small real clips: one face, 8 frames of 160x120, in every kind of container and picture that is taken."""

from __future__ import annotations

from functools import cache

import av
import cv2
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray
from skimage import data

FRAMES = 8
WIDTH, HEIGHT = 160, 120

# Name, container, codec, pixel format, options of the container.
VIDEOS = {
    "faststart.mp4": ("mp4", "libx264", "yuv420p", {"movflags": "+faststart"}),
    "plain.mp4": ("mp4", "libx264", "yuv444p", {}),
    "fragmented.mp4": ("mp4", "libx264", "yuv420p", {"movflags": "+frag_keyframe+empty_moov"}),
    "mpeg4.mov": ("mov", "mpeg4", "yuv420p", {}),
    "h264.mkv": ("matroska", "libx264", "yuv420p", {}),
    "hevc.mkv": ("matroska", "libx265", "yuv420p10le", {}),
    "vp9.webm": ("webm", "libvpx-vp9", "yuv420p", {}),
    "mjpeg.avi": ("avi", "mjpeg", "yuvj420p", {}),
    "mpeg4.avi": ("avi", "mpeg4", "yuv420p", {}),
    "h264.ts": ("mpegts", "libx264", "yuv420p", {}),
    "mpeg2.mpg": ("mpeg", "mpeg2video", "yuv420p", {}),
}
PICTURES = ("png", "jpg", "bmp")
_CODEC_OPTIONS = {
    "libx264": {"preset": "ultrafast", "crf": "20", "g": "4"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=none:frame-threads=1"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
}


@cache
def frames() -> tuple[NDArray[np.uint8], ...]:
    """Eileen Collins' face, about 80 pixels wide, drifting by a pixel a frame; uint8 [120, 160, 3] BGR each."""
    portrait = np.ascontiguousarray(data.astronaut()[:, :, ::-1])
    cuts = [portrait[30 + step : 180 + step, 120 + 2 * step : 320 + 2 * step] for step in range(FRAMES)]
    return tuple(np.asarray(cv2.resize(cut, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8) for cut in cuts)


@cache
def videos(folder: str) -> dict[str, bytes]:
    """Every video by its file name; `folder` is where they are written first."""
    made = {}
    for name, (container_format, codec, pixel_format, container_options) in VIDEOS.items():
        path = f"{folder}/{name}"
        options = {**container_options, "fflags": "+bitexact"}  # no random ids: equal seeds are equal clips
        with av.open(path, "w", format=container_format, options=options) as container:
            stream = container.add_stream(codec, rate=25, options=_CODEC_OPTIONS.get(codec, {}))
            assert isinstance(stream, VideoStream)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixel_format
            stream.codec_context.thread_count = 1
            for frame in frames():
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
            container.mux(stream.encode())
        with open(path, "rb") as file:  # noqa: PTH123 - a text is what can be cached by
            made[name] = file.read()
    return made


@cache
def pictures() -> dict[str, tuple[bytes, ...]]:
    """The frames as files, by suffix."""
    return {kind: tuple(cv2.imencode(f".{kind}", frame)[1].tobytes() for frame in frames()) for kind in PICTURES}
