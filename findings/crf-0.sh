#!/usr/bin/env bash
# Expected: `crf=0` is lossless, as guides to x264 say.
# Seen: it is with x264 at 8 bits. At 10 bits the same libx264 is off by several levels (`qp=0` is lossless there), and
# libx265 is lossy with `crf=0` and with `qp=0`; it needs `lossless=1`. libvpx-vp9 is lossless with `crf=0` in this
# build.
# It matters: the `raw` level of a set is only worth its name if it is lossless. Switching a script to 10 bits or to
# HEVC loses that without a message.
# Run on 2026-11-28 with av 18.1.0 (x264 core 165), numpy 2.4.6.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 av==18.1.0
cd "$work"
venv/bin/python - <<'PY'
import sys

import av
import numpy as np

random = np.random.default_rng(0)


def largest_error(codec: str, pixels: str, options: dict[str, str]) -> int:
    top, kind = (1024, np.uint16) if "10" in pixels else (256, np.uint8)
    written = [random.integers(0, top, (96, 64), kind) for _ in range(5)]
    with av.open("clip.mkv", "w") as out:
        stream = out.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 64, pixels
        for frame in written:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, pixels)))
        out.mux(stream.encode())
    with av.open("clip.mkv") as read:
        frames = [frame.to_ndarray() for frame in read.decode(video=0)]
    return max(int(np.abs(one.astype(int) - other).max()) for one, other in zip(written, frames, strict=True))


quiet = {"x265-params": "log-level=none"}
print(f"PyAV {av.__version__}")
errors = []
for codec, pixels, options in [
    ("libx264", "yuv420p", {"crf": "0"}),
    ("libx264", "yuv420p10le", {"crf": "0"}),
    ("libx264", "yuv420p10le", {"qp": "0"}),
    ("libx265", "yuv420p", {"crf": "0"} | quiet),
    ("libx265", "yuv420p", {"qp": "0"} | quiet),
    ("libx265", "yuv420p", {"x265-params": "lossless=1:log-level=none"}),
    ("libvpx-vp9", "yuv420p", {"crf": "0"}),
]:
    errors.append(largest_error(codec, pixels, options))
    print(f"{codec} {pixels} {options}: largest error {errors[-1]}")
if [error > 0 for error in errors] != [False, True, False, True, True, False, False]:
    sys.exit("The behaviour has changed: the second, fourth and fifth were lossy, and no other.")
PY
