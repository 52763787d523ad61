#!/usr/bin/env bash
# Expected: cv2.seamlessClone reads its mask. An array that numpy marks as read-only stays as it is, or is refused.
# Seen: since 4.11.0 it writes into a mask of one channel, the read-only one too: of a shape of 200, some values become
# 255 and the others 55. A mask of three channels with the same values stays as it was. In 4.10.0 both stay.
# It matters: pipelines of face swaps blend with a mask and then save that mask as the label of the frame. With a newer
# OpenCV the saved label is another mask than the one that was made, and a mask that is used again changes each time.
# Run on 2026-11-29 with opencv-python-headless 4.10.0.84, 4.11.0.86 and 5.0.0.93, numpy 1.26.4 and 2.2.6.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/try.py" <<'PY'
import sys

import cv2
import numpy as np

random = np.random.default_rng(0)
source, target = (random.integers(0, 256, (side, side, 3), np.uint8) for side in (64, 128))
drawn = np.zeros((64, 64), np.uint8)
drawn[10:50, 12:52] = 200
mask = drawn.copy()
mask.setflags(write=False)
three = np.repeat(drawn[:, :, None], 3, axis=2)
for given in (mask, three):
    cv2.seamlessClone(source, target, given, (64, 64), cv2.NORMAL_CLONE)
print(
    f"OpenCV {cv2.__version__}, numpy {np.__version__}: {np.count_nonzero(mask != drawn)} values of a read-only mask "
    f"have changed, to {sorted(set(mask[mask != drawn].tolist()))}; of three channels "
    f"{np.count_nonzero(three != drawn[:, :, None])}"
)
written = not np.array_equal(mask, drawn)
if mask.flags.writeable or not np.array_equal(three, np.repeat(drawn[:, :, None], 3, axis=2)) or written != (
    sys.argv[1] == "written"
):
    sys.exit("The behaviour has changed: 4.10.0 left the mask of one channel, 4.11.0 and 5.0.0 wrote into it.")
PY
while read -r opencv numpy outcome; do
    rm -rf "$work/venv"
    "${PYTHON:-python3}" -m venv "$work/venv"
    "$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        "opencv-python-headless==$opencv" "numpy==$numpy" < /dev/null
    "$work/venv/bin/python" "$work/try.py" "$outcome"
done <<'VERSIONS'
4.10.0.84 1.26.4 left
4.11.0.86 2.2.6 written
5.0.0.93 2.2.6 written
VERSIONS
