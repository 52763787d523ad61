#!/usr/bin/env bash
# Expected: `cv2.VideoWriter` with a lossless codec stores frames of any size, or refuses a size.
# Seen: a frame of 65x49 comes back as 64x48 for FFV1, HuffYUV and PNG, codecs that all hold odd sizes. `isOpened` is
# true and nothing is said.
# It matters: face crops have odd sizes half of the time. Frames, masks and landmarks of a stored crop are one row and
# one column apart from what was written.
# Run on 2026-11-28 with opencv 5.0.0.93 (3.4.18.65 and 4.10.0.84 alike), numpy 2.4.6.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 opencv-python-headless==5.0.0.93
cd "$work"
venv/bin/python - <<'PY'
import sys

import cv2
import numpy as np

written = np.random.default_rng(0).integers(0, 256, (49, 65, 3), np.uint8)
print(f"OpenCV {cv2.__version__}, written: {written.shape}")
for code, suffix in {"FFV1": "mkv", "HFYU": "avi", "png ": "mov"}.items():
    name = f"clip.{suffix}"
    writer = cv2.VideoWriter(name, cv2.VideoWriter_fourcc(*code), 25, (65, 49))
    opened = writer.isOpened()
    for _ in range(3):
        writer.write(written)
    writer.release()
    read = cv2.VideoCapture(name).read()[1]
    same = np.array_equal(read, written[:48, :64])
    print(f"{code}: opened {opened}, read {read.shape}, equal to the upper left part: {same}")
    if not opened or read.shape != (48, 64, 3) or not same:
        sys.exit("The behaviour has changed: the last row and column were cut off.")
PY
