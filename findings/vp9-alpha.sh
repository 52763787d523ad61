#!/usr/bin/env bash
# Expected: a WebM written with `yuva420p` is read with its alpha channel, or the reader says that it cannot.
# Seen: PyAV, which takes FFmpeg's own VP9 decoder, reports `yuv420p` and gives every pixel full alpha; OpenCV shows the
# colours. Only the decoder libvpx-vp9, asked for by name, returns the mask.
# It matters: a swapped face with its mask as alpha, stored as WebM for an editor or a browser, reads back as an opaque
# rectangle, and the masks are ones everywhere.
# Run on 2026-11-28 with av 18.1.0, opencv 5.0.0.93, numpy 2.4.6.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 opencv-python-headless==5.0.0.93 av==18.1.0
cd "$work"
venv/bin/python - <<'PY'
import sys

import av
import cv2
import numpy as np

picture = np.full((64, 64, 4), 200, np.uint8)
picture[:, :32, 3] = 0
picture[:, 32:, 3] = 255
with av.open("face.webm", "w") as out:
    stream = out.add_stream("libvpx-vp9", rate=25)
    stream.width, stream.height, stream.pix_fmt = 64, 64, "yuva420p"
    for _ in range(4):
        out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgba")))
    out.mux(stream.encode())


def alpha(frame: av.VideoFrame) -> list[int]:
    return frame.to_ndarray(format="rgba")[0, [0, 63], 3].tolist()


with av.open("face.webm") as read:
    default = next(read.decode(video=0))
    metadata = read.streams.video[0].metadata
decoder = av.CodecContext.create("libvpx-vp9", "r")
with av.open("face.webm") as read:
    by_name = decoder.decode(next(read.demux(video=0)))[0]
opencv = cv2.VideoCapture("face.webm").read()[1]
print(f"PyAV {av.__version__}, OpenCV {cv2.__version__}; alpha written: [0, 255]; the file says {metadata}")
print(f"default decoder: {default.format.name}, alpha {alpha(default)}")
print(f"libvpx-vp9: {by_name.format.name}, alpha {alpha(by_name)}")
print(f"OpenCV: {opencv.shape}, colour where alpha is 0: {opencv[0, 0].tolist()}")
if alpha(default) != [255, 255] or alpha(by_name)[0] > 5 or alpha(by_name)[1] < 250 or opencv[0, 0].min() < 190:
    sys.exit("The behaviour has changed: only libvpx-vp9 returned the alpha channel.")
PY
