"""The Python of the API page and the client in Go run as they are shown."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from facefoundry.local import local_stack
from tests.clients import shell
from tests.clients.examples import copy, examples
from tests.clients.journey import Program, check_fakes, write_clips

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with local_stack(tmp_path_factory.mktemp("local")) as running:
        yield running


def test_the_python_of_the_api_page_extracts_a_clip(stack, clips, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "api.md").read_text(), re.DOTALL)
    shutil.copy(clips / "hopper.mp4", tmp_path / "033.mp4")
    addresses = {f"FACEFOUNDRY_{name.upper()}_ADDRESS": address for name, address in stack.addresses.items()}
    environment = {**os.environ, **addresses}  # and no keys of the store
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert re.search(r"s3://\S+/extractions/[0-9a-f]{40} 36 faces in 36 frames", done.stdout)


def test_the_go_client_makes_a_pair_without_keys_of_the_store(stack, tmp_path):
    (example,) = (example for example in examples() if example.name == "go")
    if absent := shell.missing(example.needs):
        pytest.skip(f"{', '.join(absent)} not found")
    folder = copy(tmp_path) / example.name
    write_clips(folder, frames=12)
    program = Program(example, folder, stack.addresses)
    program.build()
    pair = program.start()
    printed, _ = pair.communicate()
    assert pair.returncode == 0, printed
    check_fakes(folder)
