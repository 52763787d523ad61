"""Short clips of real faces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray
from skimage import data

from demo import clip

Picture = NDArray[np.uint8]

FRAMES = {"astronaut": 40, "hopper": 36}
RATES = {"astronaut": 25, "hopper": 30}
QUICK = {"crf": "12", "preset": "ultrafast", "threads": "1"}


def encode(path: Path, pictures: Iterable[Picture], rate: int = 25, options: Mapping[str, str] = QUICK) -> Path:
    """Encode BGR pictures of one even size as H.264 in yuv420p, and return the path."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options=dict(options))
        assert isinstance(stream, VideoStream)
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            if not stream.codec_context.is_open:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_pair(folder: Path) -> None:
    """Write the first frames of the demo's two clips, enough for a whole journey."""
    for name, count in FRAMES.items():
        frames = islice(clip.frames(name), 0, 2 * count, 2)
        encode(folder / f"{name}.mp4", frames, RATES[name], {"crf": "12", "x264-params": "mbtree=0"})


def drifting_face(count: int, first: int = 0) -> Iterator[Picture]:
    """Yield pictures of 192x192 in which a portrait drifts by about a pixel a frame, from the step `first` on."""
    portrait = np.ascontiguousarray(data.astronaut()[:, :, ::-1])
    for step in range(first, first + count):
        dx, dy = int(20 * np.sin(step / 15)), int(12 * np.cos(step / 11))
        yield portrait[25 + dy : 217 + dy, 130 + dx : 322 + dx]


def stream_fields(path: Path) -> dict[str, Any]:
    """Return every field of container, stream and codec that does not follow from the number of bytes."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        frame = next(container.decode(stream))
        return {
            "streams": [stream.type for stream in container.streams],
            "container": (container.format.name, dict(container.metadata), container.duration, container.start_time),
            "stream": (stream.frames, stream.average_rate, stream.time_base, stream.duration, dict(stream.metadata)),
            "codec": (context.name, context.profile, context.pix_fmt, context.extradata, context.has_b_frames),
            "size": (context.width, context.height, context.sample_aspect_ratio, context.codec_tag),
            "colour": (frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries, frame.rotation),
        }
