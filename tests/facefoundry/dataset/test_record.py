"""The run record: its name, kept in its folder and nobody else's by accident, and its JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from facefoundry.cli.ffpp import _run_name
from facefoundry.dataset.ffpp_layout import Layout
from facefoundry.dataset.record import FakeRecord, PairRecord, RunRecord, SequenceRecord, name_in
from facefoundry.storage import keys


def keep(out, name):
    RunRecord(name, "facefoundry ...", {}).write(Layout(out).report())


def test_two_folders_of_one_name_are_two_runs(tmp_path):
    names = [_run_name(None, tmp_path / user / "output") for user in ("ann", "bob")]
    assert len(set(names)) == 2
    assert all(name.startswith("output-") for name in names)


def test_the_same_command_again_is_the_same_run(tmp_path):
    name = _run_name(None, tmp_path)
    keep(tmp_path, name)
    assert _run_name(None, tmp_path) == name
    assert _run_name("chosen", tmp_path) == "chosen"


@pytest.mark.parametrize("folder", ["out", "ä" * 80, "a b/c d", "x" * 200, "_.-"])
def test_every_folder_gives_a_name_that_is_a_key_and_a_label(tmp_path, folder):
    name = _run_name(None, tmp_path / folder)
    assert keys.run(name) == f"runs/{name}"
    assert len(name) <= 63


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"name": 7}', b'{"name": ""}'])
def test_a_record_that_cannot_be_read_has_no_name(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content)
    assert name_in(tmp_path) is None


def test_the_json_has_every_field_of_pairs_that_have_ended_and_of_those_that_go_on():
    record = RunRecord("n", "c", {"name": "ffpp"}, sequences={"A": SequenceRecord("s3://b/a", 9)})
    record.pairs = [PairRecord(f"A_{other}", "A", other) for other in "BCD"]
    for pair in record.pairs:
        pair.training.losses = [[1, 0.25, 0.5]]
        pair.fakes = [FakeRecord(pair.id, pair.a, pair.b, labels=[1, 0])]
    expected = json.loads(record.to_json())
    assert expected == asdict(record) | {"seconds": record.seconds}
    failure = {"stage": "train", "reason": "DIVERGED", "message": 'a "word"'}
    record.end(record.pairs[0], None)
    record.end(record.pairs[1], failure)
    record.pairs[2].state = "running"
    for pair, state in zip(expected["pairs"], ("done", "failed", "running"), strict=True):
        pair["state"] = state
    expected["pairs"][1]["failure"] = failure
    made = json.loads(record.to_json())
    assert made == expected | {"seconds": record.seconds}
    assert not any(pair.training.losses or pair.fakes[0].labels for pair in record.pairs[:2])
    assert record.pairs[2].training.losses
