#!/usr/bin/env bash
# Expected: an augmentation written for albumentations 1 does the same in 2, or is refused.
# Seen: version 2 ignores the old arguments with a warning and uses its defaults: JPEG of quality 20 becomes quality 99
# or better. `Rotate` fills the corners with black instead of mirrored pixels, without a warning.
# It matters: published detectors of deepfakes list their augmentations for version 1. With version 2 they train, but
# without the compression that was to make them robust.
# Run on 2026-11-28 with albumentations 1.3.1 and 2.0.8, opencv 4.10.0.84, numpy 1.26.4.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==1.26.4 opencv-python-headless==4.10.0.84 albumentations==1.3.1
cd "$work"
venv/bin/python - <<'PY'
import os
import subprocess
import sys

TRY = """
import sys, warnings
import cv2, numpy as np, albumentations as A
warnings.simplefilter("ignore")
noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
image = cv2.GaussianBlur(noise, (7, 7), 0)
jpeg = A.ImageCompression(quality_lower=20, quality_upper=20, p=1)(image=image)["image"]
turned = A.Rotate(limit=(45, 45), p=1)(image=image)["image"]
print(A.__version__, round(float(np.abs(jpeg.astype(int) - image).mean()), 1), turned[0, 0].tolist())
"""


def attempt() -> list[str]:
    environment = os.environ | {"NO_ALBUMENTATIONS_UPDATE": "1"}
    command = [sys.executable, "-c", TRY]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    return out.strip().split(maxsplit=2)


old = attempt()
pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
subprocess.run([*pip, "albumentations==2.0.8"], check=True)
new = attempt()
for version, change, corner in (old, new):
    print(f"{version}: JPEG of quality 20 changes a value by {change} levels on average; corner after a turn {corner}")
if float(old[1]) < 2 * float(new[1]) or old[2] == "[0, 0, 0]" or new[2] != "[0, 0, 0]":
    sys.exit("The behaviour has changed: 2.0.8 compressed far less, and its corner was black.")
PY
