#!/usr/bin/env bash
# Expected: two `cv2.TrackerMIL` that see the same frames give the same boxes, at least after `cv2.setRNGSeed`.
# Seen: each tracker of a process gives other boxes, several pixels apart, whatever the seed. The sequence of boxes
# repeats in every new process, so a result depends on how many clips were tracked before it.
# It matters: TrackerMIL is the tracker without a model file in OpenCV's main module, 5.0 included. Crops of a clip
# change with its place in the queue, and a rerun of one clip alone does not reproduce them.
# Run on 2026-11-28 with opencv 5.0.0.93 (4.10.0.84 alike), numpy 2.4.6.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 opencv-python-headless==5.0.0.93
cd "$work"
venv/bin/python - <<'PY'
import subprocess
import sys

TRY = """
import cv2, numpy as np
random = np.random.default_rng(0)
face = cv2.GaussianBlur(random.integers(0, 256, (48, 48, 3), np.uint8), (7, 7), 0)
face = cv2.normalize(face, None, 0, 255, cv2.NORM_MINMAX)
wall = cv2.GaussianBlur(random.integers(0, 256, (240, 320, 3), np.uint8), (31, 31), 0)


def frame(number):
    picture = wall.copy()
    picture[60:108, 40 + 3 * number : 88 + 3 * number] = face
    return picture


for _ in range(4):
    cv2.setRNGSeed(1)
    tracker = cv2.TrackerMIL_create()
    tracker.init(frame(0), (40, 60, 48, 48))
    for number in range(1, 16):
        found, box = tracker.update(frame(number))
    print(*box, sep=",", end=" ")
"""


def boxes() -> list[str]:
    return subprocess.run([sys.executable, "-c", TRY], check=True, capture_output=True, text=True).stdout.split()


first, second = boxes(), boxes()
print(f"four trackers of one process, box in frame 15 (true: 85,60,48,48): {first}")
print(f"four trackers of another process: {second}")
if len(set(first)) == 1 or first != second:
    sys.exit("The behaviour has changed: boxes differed within a process and were equal between processes.")
PY
