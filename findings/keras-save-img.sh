#!/usr/bin/env bash
# Expected: `keras.utils.save_img` writes the values it is given; they are uint8 already.
# Seen: it stretches every picture so that its darkest value becomes 0 and its brightest 255 (`scale=True`), uint8
# included.
# It matters: fakes that are saved with it have more contrast than the real frames beside them, each by its own factor:
# a perfect but wrong signal for a detector. `scale=False` writes what is there.
# Run on 2026-11-28 with keras 3.15.1 (JAX backend), pillow 11.3.0, numpy 2.4.6.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 keras==3.15.1 jax==0.10.2 pillow==11.3.0
cd "$work"
venv/bin/python - <<'PY'
import os
import sys

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np
from PIL import Image

face = np.random.default_rng(0).integers(90, 121, (64, 64, 3), np.uint8)
ranges = []
print(f"Keras {keras.__version__}, written: {face.min()} to {face.max()}, {face.dtype}")
for options in ({}, {"scale": False}):
    keras.utils.save_img("face.png", face, **options)
    read = np.array(Image.open("face.png"))
    ranges.append((int(read.min()), int(read.max())))
    print(f"save_img with {options}: {ranges[-1][0]} to {ranges[-1][1]}")
if ranges != [(0, 255), (90, 120)]:
    sys.exit("The behaviour has changed: 90 to 120 became 0 to 255 by default.")
PY
