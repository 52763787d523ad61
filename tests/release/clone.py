"""A repository with the files of this one, to make releases in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import facefoundry
from tests.helm.chart import ROOT, find_helm

__all__ = ["Clone"]

_IDENTITY = {f"GIT_{who}_{what}": "tests" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


class Clone:
    """A repository whose first commit has the files of the working tree. Its `.venv` is this one's.

    Args:
        folder: An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._helm = find_helm().program
        for name in _files():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        (folder / ".venv").symlink_to(ROOT / ".venv")
        self.git("init", "--quiet", "--initial-branch", "main")
        (folder / ".git/info/exclude").write_text("/.venv\n")
        self.commit()
        self.git("branch", "first")

    def git(self, *arguments: str) -> str:
        """Run git and return its output."""
        return self._run("git", *arguments).stdout

    def commit(self) -> None:
        """Commit all files."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "Commit")

    def reset(self) -> None:
        """Return to the first commit, without tags and builds."""
        self.git("reset", "--quiet", "--hard", "first")
        self.git("clean", "--quiet", "-d", "--force")
        shutil.rmtree(self.folder / "dist", ignore_errors=True)
        for tag in self.git("tag").split():
            self.git("tag", "--delete", tag)

    def close_changelog(self) -> None:
        """Give the unreleased changes the version of the tree."""
        path = self.folder / "CHANGELOG.md"
        heading = f"## [Unreleased]\n\n## [{facefoundry.__version__}] - 2000-01-01"
        path.write_text(re.sub(r"^## \[Unreleased\]$", heading, path.read_text(), count=1, flags=re.MULTILINE))

    def release(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the release script."""
        return self._run(".ci/release", *arguments, check=False)

    def check_contract(self) -> subprocess.CompletedProcess[str]:
        """Run the script that compares the contract with that of the previous release."""
        return self._run(".ci/breaking", check=False)

    def _run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **_IDENTITY, "HELM": self._helm, "GIT_CONFIG_GLOBAL": os.devnull}
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=300, check=check
        )


def _files() -> list[str]:
    """Return the paths of the files that git tracks or would track; skip the test where git does not know them."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this tree is not a git repository")
    return [name for name in listed.stdout.split("\0") if (ROOT / name).is_file() and not (ROOT / name).is_symlink()]
