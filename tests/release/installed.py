"""The wheel in an environment outside the clone."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

__all__ = ["Installed"]


class Installed:
    """An environment with the wheel, and with the libraries of the one that runs the tests.

    Args:
        folder: An empty folder.
        wheel: The wheel.
    """

    def __init__(self, folder: Path, wheel: Path) -> None:
        venv.create(folder, with_pip=False, symlinks=True)
        self.bin = folder / "bin"
        pip = [sys.executable, "-m", "pip", "--quiet", "--python", str(self.bin / "python")]
        subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True, timeout=120)
        (packages,) = folder.glob("lib/python*/site-packages")
        (packages / "libraries.pth").write_text(str(Path(pytest.__file__).parents[1]) + "\n")

    def run(self, program: str, *arguments: str, folder: Path, seconds: float = 60) -> str:
        """Run a program of the environment in a folder and return its output."""
        ended = subprocess.run(
            [self.bin / program, *arguments],
            cwd=folder,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr[-3000:] + ended.stdout[-3000:]
        return ended.stdout
