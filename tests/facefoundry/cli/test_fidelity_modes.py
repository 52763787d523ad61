"""Mistakes of the FF++ script that the modes must not repeat. The command runs as a user runs it, without services.

Every pair fails then, but the record holds what was requested and why it failed.
"""

import json
import os
import subprocess
import sys

import pytest

from facefoundry import __version__
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.run_folder import RunFolder

AT_ONCE = {"FACEFOUNDRY_STORE_RETRY_SECONDS": "0"}
NO_SERVICES = [f"--{name}=127.0.0.1:1" for name in ("extractor", "trainer", "converter")]
SHELL = 'clips; touch owned $(touch owned) & \'two "words"'


def run(*words, folder=None):
    command = [sys.executable, "-m", "facefoundry", *map(str, words), *NO_SERVICES, "--json"]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **AT_ONCE}, capture_output=True, text=True, timeout=120, check=False
    )


def record_of(out):
    return RunFolder(FfppLayout(out).run_folder()).load_run()


def pairs_of(out):
    return list(RunFolder(FfppLayout(out).run_folder()).load_pairs())


@pytest.fixture
def clips(tmp_path):
    """Four files that are called clips; nobody comes to look into them."""
    folder = tmp_path / SHELL
    folder.mkdir()
    for name in "abcd":
        (folder / f"{name}.mp4").write_bytes(b"x")
    return folder


def test_b04_modes_that_train_use_their_iterations_and_none_drops_an_option(clips, tmp_path):
    for mode, words in {
        "train": ["-i", clips / "a.mp4", "-i2", clips / "b.mp4"],
        "generate_models": ["-i", clips],
    }.items():
        run(mode, *words, "-o", tmp_path / mode, "-it", 1234)
        assert record_of(tmp_path / mode).recipe["training"]["iterations"] == 1234
    refused = run("extract_faces", "-i", clips, "-o", tmp_path / "faces", "--gpu", 1)
    assert refused.returncode == 2
    assert "--gpu" in refused.stdout + refused.stderr


def test_b06_pairs_are_made_by_a_seed_and_written_down_with_versions_and_times(clips, tmp_path):
    for out in ("first", "second"):
        run("generate_models", "-i", clips, "-o", tmp_path / out, "--seed", 5)
    pairs = json.loads((tmp_path / "first" / "misc" / "filelist.json").read_text())
    assert sorted(name for pair in pairs for name in pair) == ["a", "b", "c", "d"]
    assert json.loads((tmp_path / "second" / "misc" / "filelist.json").read_text()) == pairs
    record = record_of(tmp_path / "first")
    assert record.pairs == ["_".join(pair) for pair in pairs]
    assert (record.seed, record.layout) == (5, "ffpp")
    assert record.versions["facefoundry"] == __version__
    assert record.created and record.seconds > 0
    assert record.recipe["name"] == "ffpp" and record.recipe["version"]


def test_b07_create_from_models_takes_the_pairs_of_the_filelist_and_no_others(clips, tmp_path):
    for name in ("a_b", "c_d"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "model.json").write_text("{}")
    filelist = tmp_path / "pairs.json"
    filelist.write_text('[["c", "d"]]')
    words = ["create_from_models", "-i", tmp_path / "models", "-i2", clips, "--filelist", filelist]
    run(*words, "-o", tmp_path / "out")
    assert record_of(tmp_path / "out").pairs == ["c_d"]
    filelist.write_text('[["a", "c"]]')
    refused = run(*words, "-o", tmp_path / "none")
    assert refused.returncode == 2
    assert "a_c" in json.loads(refused.stdout.splitlines()[-1])["message"]


def test_b08_a_failure_has_a_reason_and_an_exit_code_and_no_path_reaches_a_shell(clips, tmp_path):
    done = run("generate_models", "-i", clips, "-o", tmp_path / "out dir", folder=tmp_path)
    assert done.returncode == 1
    events = [json.loads(line) for line in done.stdout.splitlines()]
    failed = {event["item"]: event["message"] for event in events if event.get("state") == "failed"}
    pairs = pairs_of(tmp_path / "out dir")
    assert len(pairs) == 2
    for pair in pairs:
        assert pair.state == "failed"
        assert pair.failure.reason == "UNAVAILABLE"
        assert failed[pair.id].startswith("UNAVAILABLE: ")
    assert not (tmp_path / "owned").exists()
