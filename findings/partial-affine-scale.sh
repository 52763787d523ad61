#!/usr/bin/env bash
# Expected: `estimateAffinePartial2D` fits a similarity to all points, so the unit of length does not matter.
# Seen: it runs RANSAC with a threshold of 3 pixels and leaves out what lies farther off. The same five landmarks in a
# frame of four times the size give another alignment, from fewer points.
# It matters: faces are aligned with it by 5 points. The crop of a 4K clip is turned and shifted against that of its
# small copy. A least-squares fit is the same at any size.
# Run on 2026-11-28 with opencv 5.0.0.93 and 3.4.18.65, numpy 2.4.6.
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

TEMPLATE = np.array([[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]])


def least_squares(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the similarity with the smallest sum of squares, with points as complex numbers."""
    z, w = points @ [1, 1j], target @ [1, 1j]
    factor = np.vdot(z - z.mean(), w - w.mean()) / np.vdot(z - z.mean(), z - z.mean())
    shift = w.mean() - factor * z.mean()
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])


def opencv(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    return cv2.estimateAffinePartial2D(points, target)[0]


def moves(fit: object, points: np.ndarray) -> bool:
    """Return whether an eye lands elsewhere when everything is four times as large."""
    small, large = (fit(points * scale, TEMPLATE * scale) @ [*points[0] * scale, 1] / scale for scale in (1, 4))
    return bool(np.abs(small - large).max() > 0.2)


random = np.random.default_rng(1)
moved = {"estimateAffinePartial2D": 0, "least squares": 0}
print(f"OpenCV {cv2.__version__}")
for face in range(20):
    points = TEMPLATE * 1.6 + random.normal(0, 3, TEMPLATE.shape) + [100, 50]
    used = [int(cv2.estimateAffinePartial2D(points * scale, TEMPLATE * scale)[1].sum()) for scale in (1, 4)]
    if face < 5:
        print(f"face {face}: points used of 5: {used[0]}, at four times the size {used[1]}")
    moved["estimateAffinePartial2D"] += moves(opencv, points)
    moved["least squares"] += moves(least_squares, points)
print(f"faces of 20 whose eye moves by more than 0.2 pixels: {moved}")
if moved["estimateAffinePartial2D"] < 10 or moved["least squares"]:
    sys.exit("The behaviour has changed: most alignments depended on the size, and no least-squares fit did.")
PY
