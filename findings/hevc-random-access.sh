#!/usr/bin/env bash
# Expected: frame i of a plain HEVC file is frame i, whichever frames were read before it.
# Seen: decord and imageio return neighbours of the frame, without an error. `libx265` opens its groups of pictures
# unless told otherwise: frames before a key frame in time come after it in the file, and reading that starts at such a
# key frame miscounts.
# It matters: detectors train on frames drawn at random, with masks and landmarks chosen by the index. OpenCV returns
# the right frames; so does every reader for files made with `-x265-params open-gop=0`.
# Run on 2026-11-28 with decord 0.6.0 (decord2 3.4.0 alike), imageio 2.38.1, av 18.1.0, opencv 5.0.0.93.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 opencv-python-headless==5.0.0.93 decord==0.6.0 imageio==2.38.1 av==18.1.0 imageio-ffmpeg==0.8.1
cd "$work"
venv/bin/python - <<'PY'
import random
import subprocess
import sys

import cv2
import decord
import imageio.v3 as iio
import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe


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


def wrong_frames(name: str, order: list[int]) -> dict[str, int]:
    capture = cv2.VideoCapture(name)
    decord_reader = decord.VideoReader(name)
    imageio_reader = iio.imopen(name, "r", plugin="pyav")
    wrong = {"decord": 0, "imageio": 0, "opencv": 0}
    for index in order:
        wrong["decord"] += number(decord_reader[index].asnumpy()) != index
        wrong["imageio"] += number(imageio_reader.read(index=index)) != index
        capture.set(cv2.CAP_PROP_POS_FRAMES, index)
        wrong["opencv"] += number(capture.read()[1]) != index
    return wrong


order = list(range(60))
random.Random(0).shuffle(order)
wrong = {}
for kind, gop in {"as libx265 likes it": "", "open-gop=0": ":open-gop=0"}.items():
    name = f"{len(wrong)}.mp4"
    make(name, 60, "-c:v", "libx265", "-x265-params", f"keyint=12:log-level=none{gop}")
    wrong[kind] = wrong_frames(name, order)
    print(f"wrong frames of 60, {kind}: {wrong[kind]}")
first, second = wrong.values()
if not (first["decord"] and first["imageio"]) or first["opencv"] or any(second.values()):
    sys.exit("The behaviour has changed: decord and imageio were wrong with open groups only, OpenCV never.")
PY
