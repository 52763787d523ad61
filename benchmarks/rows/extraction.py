"""Measures whole extractions with the engine dlib, from the video to faces and alignments, against plain dlib.

The bars are 95 % of what the extractor reached at commit 170c971 with the same clips and the same reference.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.extraction import extract, plain
from benchmarks.landmarks import distances, is_found
from benchmarks.material import shots, write_clip
from benchmarks.row import Row, command, interleaved

FRAMES = 48
SIZE = (640, 360)
FACE = 150.0  # its mean width, pixels
ROLL = 30.0  # degrees
REFERENCE = "dlib's detector on every frame, enlarged twice, and its landmarks: no crops, and nothing is stored"


def run() -> list[Row]:
    """Return a row for a head that moves as talking heads do, and one for a head that rolls."""
    frames = [shot.frame for shot in shots(FRAMES, FACE, SIZE)]
    with tempfile.TemporaryDirectory() as folder:
        moves = write_clip(Path(folder) / "moves.mp4", frames)
        rolls = write_clip(Path(folder) / "rolls.mp4", rolled(frames))
        return [_row("a head that moves", 6.9, moves), _row(f"a head that rolls to {ROLL:.0f} degrees", 6.7, rolls)]


def rolled(frames: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Turn frames around their centre, to one side and then to the other."""
    height, width = frames[0].shape[:2]
    made = []
    for number, frame in enumerate(frames):
        degrees = ROLL * np.sin(2 * np.pi * number / len(frames))
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(degrees), 1.0)
        turned = cv2.warpAffine(frame, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        made.append(np.asarray(turned, np.uint8))
    return made


def _row(what: str, bar: float, clip: Path) -> Row:
    timing = interleaved(lambda: plain(clip), lambda: extract(clip, "dlib"), rounds=2)
    expected, found = plain(clip).points, extract(clip, "dlib").points
    lost = int((is_found(expected) & ~is_found(found)).sum())
    apart = float(np.nanmedian(distances(found, expected)))
    return Row(
        f"extraction, {SIZE[0]}x{SIZE[1]}, {what}",
        "s/frame",
        timing.reference / FRAMES,
        timing.ours / FRAMES,
        bar,
        f"{lost} frames lost; landmarks {apart:.3f} eye distances apart",
        lost == 0 and apart < 0.05,
        f"{REFERENCE}; {FRAMES} frames, face {FACE:.0f} wide",
        timing.first_ours / FRAMES,
    )


if __name__ == "__main__":
    command(run)
