"""Makes the two clips of the demo: draws their frames and encodes them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from demo import motion, portraits
from demo.warp import Puppet

FRAME_RATE = 25
SIZE = 432


def frames(name: str) -> Iterator[NDArray[np.uint8]]:
    """Draw the frames of one clip, `astronaut` or `hopper`, each uint8 [432, 432, 3] BGR."""
    if name == "astronaut":
        portrait, moves = portraits.astronaut(), motion.invent(seed=3, frames=115, frame_rate=FRAME_RATE, closed=-0.9)
    else:
        portrait, moves = portraits.hopper(), motion.invent(seed=11, frames=120, frame_rate=FRAME_RATE, closed=0.0)
    puppet = Puppet(portrait, SIZE)
    for index in range(len(moves)):
        yield puppet.draw(moves, index)


def write_clips(folder: Path, length: int | None = None) -> list[Path]:
    """Write `astronaut.mp4` and `hopper.mp4` into a folder; the same build of x264 always writes the same bytes.

    Args:
        folder: Folder of the clips; it is created if it does not exist.
        length: Number of frames to write of each clip; by default all of them.

    Returns:
        The paths of the clips.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [_write(folder / f"{name}.mp4", islice(frames(name), length)) for name in ("astronaut", "hopper")]


def _write(path: Path, pictures: Iterator[NDArray[np.uint8]]) -> Path:
    """Encode frames as H.264, so that equal frames give equal bytes.

    x264's output depends on the number of threads, so there is one. Its macroblock tree is off: with it, repeated
    encodes sometimes differ on machines with AVX-512.
    """
    partial = path.with_suffix(".part")
    with av.open(str(partial), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(
            "libx264", rate=FRAME_RATE, options={"crf": "12", "preset": "fast", "threads": "1", "mbtree": "0"}
        )
        stream.width = stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())
    partial.replace(path)
    return path
