#!/usr/bin/env bash
# Expected: the confidence of `dlib.correlation_tracker` falls when its subject leaves, and stays low.
# Seen: it falls once and rises again in an empty picture, because the tracker learns the background. In black frames it
# is NaN, which is not below any threshold.
# It matters: a pipeline that detects faces in every n-th frame, tracks them in between and gives up with `if score < 7`
# keeps the track over a fade to black and after the person has gone, and labels background as a face.
# Run on 2026-11-28 with dlib-bin 20.0.1.post1, numpy 2.4.6.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 dlib-bin==20.0.1.post1
cd "$work"
venv/bin/python - <<'PY'
import math
import sys

import dlib
import numpy as np

face = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
slope = np.tile(np.arange(240, dtype=np.uint8)[:, None, None], (1, 320, 3))
backgrounds = {"a wall with a gradient": slope, "black frames": np.zeros((240, 320, 3), np.uint8)}


def frame(background: np.ndarray, number: int) -> np.ndarray:
    picture = background.copy()
    if number < 10:
        picture[60:108, 40 + 3 * number : 88 + 3 * number] = face
    return picture


scores = {}
print(f"dlib {dlib.__version__}; the subject leaves at frame 10")
for label, background in backgrounds.items():
    tracker = dlib.correlation_tracker()
    tracker.start_track(frame(background, 0), dlib.rectangle(40, 60, 87, 107))
    scores[label] = [0.0] + [tracker.update(frame(background, number)) for number in range(1, 60)]
    shown = {number: round(scores[label][number], 1) for number in (5, 9, 10, 20, 30, 40, 59)}
    print(f"{label}: confidence by frame {shown}")
wall, black = scores.values()
if not wall[10] < 7 < wall[30] < wall[59] or not all(math.isnan(score) for score in black[10:]):
    sys.exit("The behaviour has changed: the confidence rose again on the wall, and was NaN in black frames.")
PY
