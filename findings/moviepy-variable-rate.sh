#!/usr/bin/env bash
# Expected: a clip whose frames are not evenly spaced is shown at its speed, or is read frame by frame.
# Seen: moviepy takes the average rate from ffmpeg's text, but reads ffmpeg's raw output, which was padded to a higher
# constant rate. So it shows the beginning in slow motion, and never reaches the end.
# It matters: phones and browsers record variable rates. The faces taken with moviepy come from the first part of the
# clip, many times over, and nothing is raised.
# Run on 2026-11-28 with moviepy 2.2.1, av 18.1.0, imageio-ffmpeg 0.8.1.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 moviepy==2.2.1 imageio-ffmpeg==0.8.1 av==18.1.0
cd "$work"
venv/bin/python - <<'PY'
import subprocess
import sys

import av
import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe
from moviepy import VideoFileClip


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


make("even.mp4", 30, "-c:v", "libx264", rate="25")
# The same 30 frames; a pause of half a second after frame 4.
pause = "settb=1/1000,setpts='40*N+500*gt(N,4)'"
make("pause.mp4", 30, "-vf", pause, "-fps_mode", "passthrough", "-enc_time_base", "1/1000", "-c:v", "libx264")
shown = {}
for name in ("even.mp4", "pause.mp4"):
    with av.open(name) as container:
        stored = [number(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    with VideoFileClip(name) as clip:
        shown[name] = [number(frame) for frame in clip.iter_frames()]
        print(f"{name}: {clip.fps} fps, {clip.duration} s, {len(stored)} frames stored, shown: {shown[name]}")
    if stored != list(range(30)):
        sys.exit("The clip was not made as meant.")
if shown["even.mp4"] != list(range(30)) or max(shown["pause.mp4"]) > 25 or len(shown["pause.mp4"]) < 25:
    sys.exit("The behaviour has changed: the end of the clip with a pause was missing.")
PY
