"""The Python of the API page runs as it is shown."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from facefoundry.local import local_stack
from tests.processes import environment_of

ROOT = Path(__file__).parents[2]


def test_the_python_of_the_api_page_extracts_a_clip(clips, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "api.md").read_text(), re.DOTALL)
    shutil.copy(clips / "hopper.mp4", tmp_path / "033.mp4")
    with local_stack(tmp_path / "local") as stack:
        addresses = {f"{name}_address": address for name, address in stack.addresses.items()}
        environment = environment_of(stack.store, **addresses)
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert re.search(r"s3://\S+/extractions/[0-9a-f]{40} 36 faces in 36 frames", done.stdout)
