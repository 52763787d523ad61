"""`facefoundry plan` as a user runs it."""

from __future__ import annotations

import json

import pytest

from facefoundry.cli.main import main
from facefoundry.planning import yaml_file
from tests.facefoundry.planning.known_trees import touch


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return int(caught.value.code or 0)


def test_a_folder_becomes_a_dataset_file_with_splits(tmp_path, capsys):
    for number in range(12):
        touch(tmp_path / "clips" / f"c_{number}.mp4")
    out = tmp_path / "dataset.yaml"
    assert run("plan", tmp_path / "clips", "-o", out) == 0
    assert "12 clips, 6 pairs: train 4, val 1, test 1." in capsys.readouterr().err
    assert yaml_file.load(out).name == "clips"
    assert "  # Why the dataset is made, and what for.\n  motivation: ''" in out.read_text()
    assert run("plan", tmp_path / "clips", "-o", out) == 2
    assert "exists" in capsys.readouterr().err


def test_a_source_that_does_not_exist_is_refused(tmp_path, capsys):
    assert run("plan", tmp_path / "none", "-o", tmp_path / "x.yaml") == 2
    assert "none does not exist" in capsys.readouterr().err


def test_a_bucket_without_keys_says_which_keys_to_set(tmp_path, capsys, monkeypatch):
    for name in ("ACCESS_KEY", "SECRET_KEY"):
        monkeypatch.delenv(f"FACEFOUNDRY_STORE_{name}", raising=False)
    assert run("plan", "s3://clips/in/", "-o", tmp_path / "x.yaml") == 2
    assert "FACEFOUNDRY_STORE_ACCESS_KEY" in capsys.readouterr().err


def test_the_schema_is_printed(capsys):
    assert run("plan", "--schema") == 0
    assert json.loads(capsys.readouterr().out) == yaml_file.schema()
