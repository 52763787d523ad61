"""Datasets of small videos whose faces are patches of a moving texture: nothing else tells fakes from real videos."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.media.level import Level
from facefoundry.media.write import VideoWriter

Picture = NDArray[np.uint8]

LEVELS = (
    Level("raw", "libx264rgb", 0, "gbrp", "ultrafast"),
    Level("c23", "libx264", 23, "yuv444p", "veryfast"),
)
BOX = (52, 32, 24, 24)
WIDTH, HEIGHT = 128, 96


def texture(rng: np.random.Generator, width: int, height: int, frames: int) -> Iterator[Picture]:
    """Yield pictures of a texture that moves, with a contrast and a speed of its own."""
    coarse = rng.normal(128, rng.uniform(20, 50), (height // 6 + 2, width // 6 + 2, 3))
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    noise, step = rng.uniform(2, 5), int(rng.integers(1, 4))
    for number in range(frames):
        moved = np.roll(smooth, step * number, axis=1) + rng.normal(0, noise, smooth.shape)
        yield np.clip(moved, 0, 255).astype(np.uint8)


def write_dataset(root: Path, pairs: int, seed: int = 0) -> FfppLayout:
    """Write a dataset of pairs: sequences of 9 to 14 frames, each with a fake, at two levels."""
    rng, layout = np.random.default_rng(seed), FfppLayout(root)
    for pair in range(pairs):
        for target, source in ((f"{2 * pair:03d}", f"{2 * pair + 1:03d}"), (f"{2 * pair + 1:03d}", f"{2 * pair:03d}")):
            frames = int(rng.integers(9, 15))
            ground = list(texture(rng, WIDTH, HEIGHT, frames))
            rate = (25, 1) if rng.random() < 0.5 else (30, 1)
            for path in (layout.real_video, lambda level, _: layout.fake_video(level, f"{target}_{source}")):  # noqa: B023
                pictures = list(_with_faces(ground, texture(rng, BOX[2] - 2, BOX[3] - 2, frames)))
                for level in LEVELS:
                    encode(path(level.name, target), pictures, level, rate)
            rows = [{"frame": number, "swapped": True, "box": BOX, "changed_outside": 0} for number in range(frames)]
            labels = layout.labels(f"{target}_{source}")
            labels.parent.mkdir(parents=True, exist_ok=True)
            labels.write_text(json.dumps({"frames": rows}))
    return layout


def encode(path: Path, pictures: list[Picture], level: Level, rate: tuple[int, int]) -> None:
    """Write a video as the product does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, level, rate, WIDTH, HEIGHT) as writer:
        for picture in pictures:
            writer.write(picture)


def pictures_of(path: Path) -> list[Picture]:
    """Decode a video."""
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in container.decode(video=0)]


def rate_of(path: Path) -> tuple[int, int]:
    """Return the frame rate of a video."""
    with av.open(str(path)) as container:
        rate = container.streams.video[0].average_rate
        assert rate is not None
        return rate.numerator, rate.denominator


def tag(path: Path, of_stream: str = "", **tags: str) -> None:
    """Copy the packets of a video to a file with further tags, and with a tag `encoder` of the stream if given."""
    copy = path.with_suffix(".tagged.mp4")
    with av.open(str(path)) as read, av.open(str(copy), "w") as written:
        written.metadata.update(tags)
        stream = written.add_stream_from_template(read.streams.video[0])
        if of_stream:
            stream.metadata["encoder"] = of_stream
        for packet in read.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                written.mux(packet)
    copy.replace(path)


def _with_faces(ground: list[Picture], faces: Iterator[Picture]) -> Iterator[Picture]:
    x, y, width, height = BOX
    for picture, face in zip(ground, faces, strict=True):
        shown = picture.copy()
        shown[y + 1 : y + height - 1, x + 1 : x + width - 1] = face
        yield shown
