#!/usr/bin/env bash
# Expected: lossless WebP returns all four channels as they were written.
# Seen: where alpha is 0, the colours are replaced, also with `IMWRITE_WEBP_LOSSLESS_ON`. OpenCV keeps them only with
# `IMWRITE_WEBP_LOSSLESS_PRESERVE_COLOR`, and Pillow only with `exact=True`.
# It matters: a face crop with its mask as the alpha channel is a handy file. In lossless WebP everything outside the
# mask is lost; in PNG nothing is.
# Run on 2026-11-28 with opencv 5.0.0.93, pillow 11.3.0, numpy 2.4.6.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 opencv-python-headless==5.0.0.93 pillow==11.3.0
cd "$work"
venv/bin/python - <<'PY'
import io
import sys

import cv2
import numpy as np
from PIL import Image


def smooth_noise(height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.GaussianBlur(noise, (5, 5), 0)


def largest_error(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - other).max())


image = np.dstack([smooth_noise(96, 96), np.zeros((96, 96), np.uint8)])
image[30:60, 30:60, 3] = 255
errors = {}
for suffix, *options in (
    [".png"],
    [".webp"],
    [".webp", cv2.IMWRITE_WEBP_LOSSLESS_MODE, cv2.IMWRITE_WEBP_LOSSLESS_ON],
    [".webp", cv2.IMWRITE_WEBP_LOSSLESS_MODE, cv2.IMWRITE_WEBP_LOSSLESS_PRESERVE_COLOR],
):
    read = cv2.imdecode(cv2.imencode(suffix, image, options)[1], cv2.IMREAD_UNCHANGED)
    errors[f"OpenCV {suffix} {options}"] = largest_error(read[..., :3], image[..., :3])
for exact in (False, True):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "webp", lossless=True, exact=exact)
    errors[f"Pillow .webp lossless, exact={exact}"] = largest_error(np.array(Image.open(file))[..., :3], image[..., :3])
for label, error in errors.items():
    print(f"{label}: colours differ by up to {error} levels")
if [error > 0 for error in errors.values()] != [False, True, True, False, True, False]:
    sys.exit("The behaviour has changed: the second, third and fifth lost the colours, and no other.")
PY
