#!/usr/bin/env bash
# Expected: WebP of OpenCV at quality 100 is at least as good as WebP without a quality.
# Seen: without a quality OpenCV writes lossless WebP. Quality 100 is lossy with halved chroma and tens of levels off;
# 101 is lossless again.
# It matters: someone who adds `IMWRITE_WEBP_QUALITY, 100` to be safe turns a lossless set of faces into a lossy one,
# with an artefact that a detector can learn.
# Run on 2026-11-28 with opencv 5.0.0.93, numpy 2.4.6.
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


def smooth_noise(height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.GaussianBlur(noise, (5, 5), 0)


def largest_error(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - other).max())


image = smooth_noise(96, 96)
errors = []
print(f"OpenCV {cv2.__version__}")
for options in ([], [cv2.IMWRITE_WEBP_QUALITY, 100], [cv2.IMWRITE_WEBP_QUALITY, 101]):
    data = cv2.imencode(".webp", image, options)[1]
    errors.append(largest_error(cv2.imdecode(data, cv2.IMREAD_COLOR), image))
    print(f"options {options}: {len(data)} bytes, largest error {errors[-1]} levels")
if errors[0] or errors[1] < 10 or errors[2]:
    sys.exit("The behaviour has changed: the errors were 0, more than 10, and 0 levels.")
PY
