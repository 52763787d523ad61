"""The release that `tests/previous-release` names, ready to run beside this one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT, Release

__all__ = ["previous_release"]

_LOCKS = ("dev.txt", "dlib-models.txt", "centerface.txt")


def previous_release(folder: Path) -> Release:
    """Unpack the previous release into an empty folder, and set up its environment.

    If all libraries that it was locked to are among those of this one, it runs with this interpreter; otherwise in an
    environment of its own, which takes minutes and the network. The test is skipped if the repository lacks its commit.
    """
    commit = (ROOT / "tests/previous-release").read_text().strip()
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", commit], capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"this copy of the repository lacks the previous release: {archive.stderr.decode()}")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    variables = {"PYTHONPATH": str(folder)}
    locks = [lock for lock in _LOCKS if (folder / "locks" / lock).exists()]
    if all(_lines(folder / "locks" / lock) <= _lines(ROOT / "locks" / lock) for lock in locks):
        return Release(folder, sys.executable, variables)
    subprocess.run(["make", "--silent", "setup", f"PYTHON={sys.executable}"], cwd=folder, check=True)
    return Release(folder, str(folder / ".venv/bin/python"), variables)


def _lines(lock: Path) -> set[str]:
    return set(lock.read_text().splitlines())
