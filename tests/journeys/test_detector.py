"""The commands and the Python of docs/detector.md go from clips to the scores of a detector, as they are shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from facefoundry.cli.main import cli
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.planning.resolve import resolve
from facefoundry.planning.rights import rights_of
from facefoundry.planning.yaml_file import load
from tests.facefoundry.exports.made import FRAMES, write_dataset
from tests.facefoundry.planning.known_trees import touch

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "detector.md").read_text()
SECONDS = 'SECONDS = 64, "c23", 120'


def test_the_dataset_file_of_the_page_has_three_splits_and_rights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(6):
        touch(tmp_path / "clips" / f"{number}.mp4")
    plan, check = re.findall(r"^facefoundry (plan .*)$", PAGE, re.MULTILINE)
    assert check == "plan --check dataset.yaml --local"
    written = CliRunner().invoke(cli, plan.split(), catch_exceptions=False)
    assert "train 1, val 1, test 1" in written.output
    clips = resolve(load(Path("dataset.yaml")), tmp_path, lambda _: []).clips
    assert len(rights_of({id_: clip.rights for id_, clip in clips.items()}, date.today()).clips) == 6


@pytest.mark.full
def test_the_python_of_the_page_trains_a_detector_and_its_auc_is_computed(tmp_path, monkeypatch):
    write_dataset(FfppLayout(tmp_path / "OUT"))
    monkeypatch.chdir(tmp_path)
    (words,) = re.findall(r"^facefoundry (export parquet .*)$", PAGE, re.MULTILINE)
    assert CliRunner().invoke(cli, words.split(), catch_exceptions=False).exit_code == 0
    batches, detector = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert SECONDS in detector
    Path("batches.py").write_text(batches)
    Path("detector.py").write_text(detector.replace(SECONDS, 'SECONDS = 64, "c23", 5'))
    printed = []
    for name in ("batches.py", "detector.py"):
        command = [sys.executable, name]
        environment = os.environ | {"PYTHONPATH": ""}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    swapped = FRAMES - 1
    assert printed[0].count("first batch (32, 64, 64, 3) with labels [1.") == 2
    assert f"{4 * swapped} faces, {2 * swapped} of them fake" in printed[0]
    assert "accuracy on train:" in printed[1]
    (auc,) = re.findall(r"^facefoundry (auc .*)$", PAGE, re.MULTILINE)
    table = CliRunner().invoke(cli, auc.split(), catch_exceptions=False).output
    (shown,) = re.findall(r"^```text\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    # The AUC itself depends on how far the training came.
    rows = [re.sub(r"\d\.\d{4}", "AUC", text).splitlines() for text in (table, shown)]
    assert [line.split() for line in rows[0]] == [line.split() for line in rows[1]]
