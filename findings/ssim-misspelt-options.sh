#!/usr/bin/env bash
# Expected: `structural_similarity` refuses an option that it does not know.
# Seen: scikit-image takes any keyword without a word. `gaussian_weight=True` gives the index with the default square
# window, and not that of the paper. So does `multichannel=True`, the option of older releases.
# It matters: papers compare the SSIM of their fakes with numbers from other scripts, some written for older releases. A
# slip of one letter moves the number in the first digit.
# Run on 2026-11-28 with scikit-image 0.26.0, numpy 2.4.6.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 scikit-image==0.26.0
cd "$work"
venv/bin/python - <<'PY'
import sys

import numpy as np
import skimage
from skimage.metrics import structural_similarity

y, x = np.mgrid[:96, :96]
clean = np.uint8(127 + 60 * np.sin(x / 5) + 60 * np.sin(y / 7))
noisy = np.clip(clean + np.random.default_rng(0).normal(0, 12, clean.shape), 0, 255).astype(np.uint8)


def ssim(**options: object) -> float:
    value = float(structural_similarity(clean, noisy, **options))
    print(f"{value:.4f}  {options}")
    return value


print(f"scikit-image {skimage.__version__}")
default = ssim()
paper = ssim(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
slips = [ssim(gaussian_weight=True), ssim(use_sample_covarience=False), ssim(multichannel=True, nonsense=1)]
if any(value != default for value in slips) or abs(paper - default) < 0.05:
    sys.exit("The behaviour has changed: misspelt options gave the default's value.")
PY
