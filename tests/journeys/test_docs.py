"""The Python of the pages and the client in Go run as they are shown."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from facefoundry.local import local_stack
from facefoundry.storage.store import Store
from tests import tiny
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


@pytest.mark.full
def test_the_python_of_the_first_dataset_goes_from_clips_in_the_bucket_to_files(stack, clips, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "first-dataset.md").read_text(), re.DOTALL)
    fields = [text.replace("=", ": ", 1) for text in tiny.assignments(training__iterations=20)]
    fields.append("extraction.identity: false")
    quick = code.replace("{training.iterations: 300}", f"{{{', '.join(fields)}}}")
    assert quick != code
    for name in ("hopper", "astronaut"):
        Store(stack.store).put_file(f"clips/{name}.mp4", clips / f"{name}.mp4")
    environment = {**os.environ, **stack.variables}
    command = [sys.executable, "-c", quick]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "ok pairs that can be made 1 of 1" in done.stdout
    assert "1 of 1 pairs are done" in done.stdout and "0 were there before" in done.stdout
    labels = {path.stem for path in (tmp_path / "OUT").rglob("labels/*.json")}
    assert len(labels) == 2 and len(list((tmp_path / "OUT").rglob("c23/videos/*.mp4"))) == 4


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
