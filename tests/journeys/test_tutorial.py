"""Every command of docs/tutorial.md runs, in its order, on short clips and with few iterations."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from facefoundry.local import local_stack

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text()
# What a reader does once, or what takes minutes, by what stands here in its place.
SHORTENED = {
    "make setup\n. .venv/bin/activate": "true",
    "python -m demo clips": "python -m demo --frames 16 clips",
    "-it 2000": "-it 4",
}


def blocks():
    """The shell blocks of the page, shortened."""
    found = re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    for before, after in SHORTENED.items():
        assert any(before in block for block in found), before
        found = [block.replace(before, after) for block in found]
    return found


def paths():
    """The paths below the tutorial's own folders that its text names."""
    return set(re.findall(r"`((?:clips|out|soft|exported|again)/[^`<>*]*)`", PAGE))


def test_every_command_of_the_tutorial_runs_and_makes_the_files_that_it_names(tmp_path):
    environment = {
        **os.environ,
        "FACEFOUNDRY_LOCAL_DIR": str(tmp_path / "local"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    printed = []
    with local_stack(tmp_path / "local", environment={"FACEFOUNDRY_SLOTS": "2"}):
        for block in blocks():
            command = ["bash", "-euo", "pipefail", "-c", block]
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
            printed.append(done.stdout + done.stderr)
    assert len(paths()) > 4
    for path in paths():
        assert (tmp_path / path).exists(), path
    assert "16 of 16 frames are swapped" in "".join(printed)
    assert "".join(printed).count("1 reused from the store") == 2
