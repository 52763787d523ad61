"""What takes minutes or the network: a pair from the installed wheel, and the client alone on each Python."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helm.chart import ROOT
from tests.release.installed import Installed

pytestmark = pytest.mark.full

# What the client's public face is used for, without a service.
_IMPORTS = """
import sys
import facefoundry
assert facefoundry.Client and facefoundry.Recipe and facefoundry.errors and facefoundry.upload
heavy = {"av", "cv2", "dlib", "h5py", "keras", "kubernetes", "tensorflow", "torch"} & set(sys.modules)
assert not heavy, heavy
print(facefoundry.__version__)
"""


def _python(version: str) -> str:
    """Return an interpreter of a version from PYTHONS or PATH; skip the test if there is none."""
    for candidate in (*os.environ.get("PYTHONS", "").split(), shutil.which(f"python{version}") or ""):
        if candidate:
            code = "import sys; print('.'.join(map(str, sys.version_info[:2])))"
            ended = subprocess.run([candidate, "-c", code], capture_output=True, text=True, check=False)
            if ended.returncode == 0 and ended.stdout.strip() == version:
                return candidate
    pytest.skip(f"Python {version} is not here: put it on PATH or name it in PYTHONS")


def test_a_pair_is_made_outside_the_clone_with_the_wheel_alone(installed: Installed, clips: Path, tmp_path: Path):
    out = tmp_path / "out"
    installed.run(
        "facefoundry",
        *("generate-models", "--local", "--local-dir", str(tmp_path / "state"), "-i", str(clips), "-o", str(out)),
        *("--recipe", "preview", "-it", "20", "--convert_images", "--json"),
        folder=tmp_path,
        seconds=800,
    )
    fakes = out / "manipulated_sequences/Deepfakes"
    for level in ("raw", "c23", "c40"):
        names = {path.name for path in (fakes / level / "videos").iterdir()}
        assert names == {"astronaut_hopper.mp4", "hopper_astronaut.mp4"}, level
    assert "astronaut_hopper" in (out / "report.html").read_text()


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_the_client_alone_runs_on(version: str, dist: Path, tmp_path: Path):
    (wheel,) = dist.glob("*.whl")
    subprocess.run([_python(version), "-m", "venv", str(tmp_path / "venv")], check=True, timeout=120)
    program = tmp_path / "venv/bin"
    locked = ["--require-hashes", "--no-deps", "--requirement", str(ROOT / "locks/cli.txt")]
    for what in (locked, ["--no-deps", "--no-index", str(wheel)]):
        subprocess.run([program / "pip", "install", "--quiet", *what], check=True, timeout=600)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for name, *arguments in (["python", "-c", _IMPORTS], ["facefoundry", "--help"]):
        subprocess.run([program / name, *arguments], cwd=tmp_path, env=environment, check=True, timeout=120)
