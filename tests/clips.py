"""Short clips of real faces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

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
