#!/usr/bin/env bash
# Expected: `VideoFileClip.iter_frames` yields every frame of a clip with a constant rate.
# Seen: at 24, 24000/1001 and 60000/1001 fps the last frame is missing for many lengths. moviepy counts `int(duration *
# fps)` frames, with the duration of two digits that ffmpeg prints.
# It matters: a face swapped with moviepy is one frame shorter than its target for some clips and not for others, so
# masks and frames no longer pair.
# Run on 2026-11-28 with moviepy 2.2.1, imageio-ffmpeg 0.8.1.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 moviepy==2.2.1 imageio-ffmpeg==0.8.1
cd "$work"
venv/bin/python - <<'PY'
import subprocess
import sys
import warnings

import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe
from moviepy import VideoFileClip

warnings.simplefilter("ignore")


def picture(number: int) -> np.ndarray:
    """A frame that shows its number as ten bright or dark stripes."""
    stripes = [255 * (number >> bit & 1) for bit in range(10)]
    return np.repeat(np.repeat(np.uint8([stripes]), 64, 0), 16, 1)[..., None].repeat(3, 2)


def number(frame: np.ndarray) -> int:
    return sum(1 << bit for bit in range(10) if frame[32, 16 * bit + 8].mean() > 127)


def make(name: str, count: int, *options: str, rate: str = "25") -> None:
    raw = b"".join(picture(each).tobytes() for each in range(count))
    command = [get_ffmpeg_exe(), "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "160x64", "-r", rate]
    subprocess.run([*command, "-i", "-", "-pix_fmt", "yuv420p", *options, name], input=raw, check=True)


short = {}
for rate in ("25", "24", "24000/1001", "60000/1001"):
    short[rate] = []
    for count in range(20, 32):
        make("clip.mp4", count, "-y", "-c:v", "libx264", rate=rate)
        with VideoFileClip("clip.mp4") as clip:
            numbers = [number(frame) for frame in clip.iter_frames()]
        if numbers == list(range(count - 1)):
            short[rate].append(count)
        elif numbers != list(range(count)):
            sys.exit(f"The behaviour has changed: {count} frames at {rate} gave {numbers}.")
    print(f"{rate} fps: lengths of 20 to 31 that lose their last frame: {short[rate]}")
if not (short["24"] and short["24000/1001"] and short["60000/1001"]):
    sys.exit("The behaviour has changed: each of the last three rates lost last frames.")
PY
