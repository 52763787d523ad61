"""Environments of Python 3.6 with the packages that FF++ used: found, or made for one comparison."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["interpreter"]


def interpreter(python: str, environment: Path, probe: str, version: str, packages: Sequence[str]) -> str:
    """Return an interpreter with some packages: the given one, or that of an environment made for this.

    The process ends with a sentence if there is no such interpreter and none can be made.

    Args:
        python: Command of an interpreter of Python 3.6, with or without the packages.
        environment: Folder in which the environment is, or is made.
        probe: Code that prints the version of the main package.
        version: How that version begins.
        packages: What to install, with exact versions and all dependencies.
    """
    inside = str(environment / "bin" / "python")
    for candidate in (python, inside):
        if shutil.which(candidate) and _printed(candidate, probe).startswith(version):
            return candidate
    if not shutil.which(python):
        sys.exit(
            f"Expected Python 3.6, which {packages[0]} needs. Received {python!r}, which is no command: use --python."
        )
    install = [inside, "-m", "pip", "install", "--quiet", "--no-deps", *packages]
    for step in ([python, "-m", "venv", str(environment)], install):
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(
                f"Expected {packages[0]} to install under {python}, which must be Python 3.6. {' '.join(step)} ended "
                f"with: {done.stderr.strip()[-500:]} Name an interpreter that has it with --python."
            )
    return inside


def _printed(python: str, code: str) -> str:
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=False).stdout
