"""The files that readers are tried on, made by the product's writers, and what their frames are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.material import shot
from facefoundry import codec, recipes
from facefoundry.media.level import Level
from facefoundry.media.write import MaskWriter, VideoWriter

Frames = NDArray[np.uint8]

SMALL, LARGE = (640, 480), (1280, 720)
FRAMES, LONG, WANTED = 5, 250, 240
"""Frames of the short files and of the long ones, and the number of the frame that is read out of a long one."""

RATE = (25, 1)
_LEVELS = {level.name: codec.from_values(Level, recipes.options(level)) for level in recipes.load().compression.levels}


def drawn(size: tuple[int, int], count: int) -> Iterable[Frames]:
    """Yield frames with a face, uint8 [h, w, 3] BGR."""
    return (frame(number, size) for number in range(count))


def frame(number: int, size: tuple[int, int]) -> Frames:
    """Return one of these frames."""
    return shot(number, 0.28 * size[1], size).frame


def write(path: Path, level: Level, size: tuple[int, int], count: int) -> Path:
    """Write the frames that are drawn."""
    with VideoWriter(path, level, RATE, *size) as writer:
        for picture in drawn(size, count):
            writer.write(picture)
    return path


def levels(folder: Path, name: str, size: tuple[int, int], count: int = FRAMES) -> tuple[Path, Path]:
    """Write a level untagged, as FF++ has it, and tagged."""
    level = _LEVELS[name]
    stem = f"{name}-{size[1]}"
    plain = write(folder / f"{stem}.mp4", level, size, count)
    return plain, write(folder / f"{stem}-tagged.mp4", replace(level, tagged=True), size, count)


def long(folder: Path, interval: int) -> Path:
    """Write a long `raw` with a key frame every so often."""
    level = replace(_LEVELS["raw"], keyframe_interval=interval)
    return write(folder / f"raw-every-{interval}.mp4", level, LARGE, LONG)


def masks(folder: Path) -> tuple[Path, Frames]:
    """Write masks, and return the file and its frames, uint8 [n, h, w]."""
    drawn_masks = np.zeros((FRAMES, *SMALL[::-1]), np.uint8)
    for number, mask in enumerate(drawn_masks):
        mask[100 : 200 + number, 150 : 260 - number] = 255
    writer = MaskWriter(folder / "masks.mp4", RATE, *SMALL)
    for mask in drawn_masks:
        writer.write(mask)
    return writer.close(), drawn_masks


def as_rgb(path: Path, matrix: int) -> Frames:
    """Return the frames of a `c23` in RGB by the definition of a matrix of ITU-T H.273 (1 or 6), limited range."""
    with av.open(str(path)) as container:
        planes = np.stack([picture.to_ndarray(format="yuv444p") for picture in container.decode(video=0)]).astype(float)
    of_red, of_blue = {1: (0.2126, 0.0722), 6: (0.299, 0.114)}[matrix]
    luma = (planes[:, 0] - 16) / 219
    blue = luma + (planes[:, 1] - 128) / 224 * 2 * (1 - of_blue)
    red = luma + (planes[:, 2] - 128) / 224 * 2 * (1 - of_red)
    green = (luma - of_red * red - of_blue * blue) / (1 - of_red - of_blue)
    return np.clip(np.rint(255 * np.stack([red, green, blue], axis=-1)), 0, 255).astype(np.uint8)
