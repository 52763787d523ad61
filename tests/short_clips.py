"""Two short clips of real faces: the first frames of the demo's two, enough for a whole journey."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import av

from demo import clip

FRAMES = {"astronaut": 40, "hopper": 36}
RATES = {"astronaut": 25, "hopper": 30}


def write(folder: Path) -> None:
    """Write `astronaut.mp4` and `hopper.mp4`."""
    for name, count in FRAMES.items():
        with av.open(str(folder / f"{name}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=RATES[name], options={"crf": "12", "x264-params": "mbtree=0"})
            stream.width = stream.height = clip.SIZE
            stream.pix_fmt = "yuv420p"
            for frame in islice(clip.frames(name), 0, 2 * count, 2):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
            container.mux(stream.encode())
