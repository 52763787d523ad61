"""Compares x264's presets and entropy coders for the level `raw`: `python -m benchmarks.raw_presets [CLIP ...]`.

For each combination of preset and coder it prints the CPU time to write and to read a frame, and the size of a frame.
It encodes the first frames of the clips, or the frames of `material` if no clip is given.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.material import shots, write_clip
from benchmarks.row import cpu_seconds, pin
from facefoundry import codec, recipes
from facefoundry.media.level import Level
from facefoundry.media.read import open_source
from facefoundry.media.write import VideoWriter

FRAMES = 32
ROUNDS = 3


def main(clips: Sequence[str]) -> None:
    """Print a line for each clip, preset and entropy coder.

    Args:
        clips: Paths of clips; if empty, one is made of `material`.
    """
    pin(1)
    levels = [codec.from_values(Level, recipes.options(level)) for level in recipes.load("ffpp").compression.levels]
    (raw,) = (level for level in levels if level.exact)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "raw.mp4"
        given = [Path(clip) for clip in clips] or [
            write_clip(Path(scratch) / "rows.mp4", [shot.frame for shot in shots(FRAMES)])
        ]
        for clip in given:
            with open_source(clip) as source:
                frames = list(itertools.islice(source, FRAMES))
            for preset, code in itertools.product(("ultrafast", "superfast", "faster", "medium"), ("cavlc", "cabac")):
                level = replace(raw, preset=preset, coder=code)
                writing = min(_write(path, level, frames) for _ in range(ROUNDS))
                reading = min(_read(path) for _ in range(ROUNDS))
                writing, reading = (1000 * seconds / len(frames) for seconds in (writing, reading))
                size = path.stat().st_size / len(frames) / 1000
                figures = f"{writing:.1f} ms to write, {reading:.1f} ms to read, {size:.1f} kB"
                print(f"{clip.name} {preset} {code}: {figures}", flush=True)


def _write(path: Path, level: Level, frames: Sequence[NDArray[np.uint8]]) -> float:
    before = cpu_seconds()
    height, width = frames[0].shape[:2]
    with VideoWriter(path, level, (25, 1), width, height) as writer:
        for frame in frames:
            writer.write(frame)
    return cpu_seconds() - before


def _read(path: Path) -> float:
    before = cpu_seconds()
    with open_source(path) as source:
        for _ in source:
            pass
    return cpu_seconds() - before


if __name__ == "__main__":
    main(sys.argv[1:])
