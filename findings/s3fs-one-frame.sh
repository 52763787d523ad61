#!/usr/bin/env bash
# Expected: to read one frame of an mp4 in a bucket takes its index and a few hundred kilobytes.
# Seen: s3fs reads ahead 50 MiB at each jump, and an mp4 whose index lies at the end makes two: one frame costs more
# than 100 MB. With `block_size=1 << 20` it costs under 5 MB.
# It matters: sampling a few frames of each raw clip in a bucket reads most of its bytes, for every worker and every
# epoch; neither an error nor a slow disk points to it.
# Run on 2026-11-28 with s3fs 2026.9.0, av 18.1.0, moto 5.2.5 as the server, numpy 2.4.6.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 s3fs==2026.9.0 av==18.1.0 'moto[server]==5.2.5'
cd "$work"
venv/bin/python - <<'PY'
import logging
import os
import sys

import av
import numpy as np
import s3fs
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)
os.environ |= {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}
random = np.random.default_rng(0)
with av.open("clip.mp4", "w") as out:
    stream = out.add_stream("libx264", rate=25, options={"qp": "0", "preset": "ultrafast"})
    stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
    for _ in range(240):
        noise = random.integers(0, 256, (720, 640), np.uint8)
        out.mux(stream.encode(av.VideoFrame.from_ndarray(noise, "yuv420p")))
    out.mux(stream.encode())
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
try:
    host, port = server.get_host_and_port()
    store = s3fs.S3FileSystem(endpoint_url=f"http://{host}:{port}", skip_instance_cache=True)
    store.mkdir("media")
    store.put("clip.mp4", "media/clip.mp4")
    read = []
    print(f"s3fs {s3fs.__version__}, clip of {os.path.getsize('clip.mp4') / 1e6:.0f} MB")
    for options in ({}, {"block_size": 1 << 20}):
        with store.open("media/clip.mp4", **options) as file, av.open(file) as container:
            next(container.decode(video=0))
            read.append(file.cache.total_requested_bytes / 1e6)
        print(f"open with {options}: one frame took {read[-1]:.1f} MB")
finally:
    server.stop()
if read[0] < 100 or read[1] > 5:
    sys.exit(
        "The behaviour has changed: one frame took more than 100 MB by default, and less than 5 MB in small blocks."
    )
PY
