#!/usr/bin/env bash
# Expected: `COLOR_BGR2YUV` and `COLOR_BGR2YUV_I420` give the same Y, one with full and one with halved chroma.
# Seen: white is 255 in the first and 235 in the second: full range and limited range behind two names of one family.
# `COLOR_BGR2YCrCb` is full range, and so is Pillow's YCbCr; scikit-image's `rgb2ycbcr` is limited range.
# It matters: detectors that look at the chroma or at frequencies of Y get planes from a video (limited range) or from
# pictures (whatever the library means by YUV). Mixing the two scales all values by 219/255, without an error.
# Run on 2026-11-28 with opencv 5.0.0.93, pillow 11.3.0, scikit-image 0.26.0, numpy 2.4.6.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 opencv-python-headless==5.0.0.93 pillow==11.3.0 scikit-image==0.26.0
cd "$work"
venv/bin/python - <<'PY'
import sys

import cv2
import numpy as np
from PIL import Image
from skimage.color import rgb2ycbcr

white = np.full((4, 4, 3), 255, np.uint8)
luma = {
    "OpenCV COLOR_BGR2YUV": cv2.cvtColor(white, cv2.COLOR_BGR2YUV)[0, 0, 0],
    "OpenCV COLOR_BGR2YUV_I420": cv2.cvtColor(white, cv2.COLOR_BGR2YUV_I420)[0, 0],
    "OpenCV COLOR_BGR2YCrCb": cv2.cvtColor(white, cv2.COLOR_BGR2YCrCb)[0, 0, 0],
    "Pillow YCbCr": np.array(Image.fromarray(white).convert("YCbCr"))[0, 0, 0],
    "scikit-image rgb2ycbcr": rgb2ycbcr(white)[0, 0, 0],
}
values = [round(float(value)) for value in luma.values()]
print(f"OpenCV {cv2.__version__}, Y of white: {dict(zip(luma, values, strict=True))}")
if values != [255, 235, 255, 255, 235]:
    sys.exit("The behaviour has changed: Y of white was 255, 235, 255, 255, 235.")
PY
