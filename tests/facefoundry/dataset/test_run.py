"""How the pairs of a run end. The journeys show whole runs."""

import json
import time
from pathlib import Path
from types import SimpleNamespace

from facefoundry import recipes
from facefoundry.client import Client
from facefoundry.dataset import run as runs
from facefoundry.dataset.plan import Clip, Pair
from facefoundry.dataset.record import RunRecord
from facefoundry.dataset.run import DatasetRun
from facefoundry.settings import ChannelSettings


def test_a_full_disk_of_the_caller_fails_the_pair_by_name_and_ends_the_run_in_order(store, tmp_path, monkeypatch):
    events = []
    record = RunRecord(name="full", command="", recipe={}, seed=None)
    with Client(ChannelSettings()) as client:
        run = DatasetRun(client, store, recipes.load("preview"), record, tmp_path, events.append)
        monkeypatch.setattr(run._stages, "sequence", lambda *_: Path("/dev/full").write_bytes(b"x"))
        run.run([Pair("a", "b")], {name: Clip(name, tmp_path / name) for name in "ab"})
    (pair,) = record.pairs
    assert (pair.state, pair.failure["reason"]) == ("failed", "FILE")
    assert "No space left on device" in pair.failure["message"]
    assert events[-1].state == "failed" and "No space left" in events[-1].message


def test_what_a_burst_left_unnoted_is_noted_while_a_long_training_goes_on(store, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "_NOTE_SECONDS", 0.5)
    record = RunRecord(name="burst", command="", recipe={}, seed=None)
    seen = []
    with Client(ChannelSettings()) as client:
        run = DatasetRun(client, store, recipes.load("preview"), record, tmp_path, lambda event: None, convert=False)

        def states():
            return [pair["state"] for pair in json.loads((run._layout.report() / "run.json").read_bytes())["pairs"]]

        def train(pair, a, b):
            deadline = time.monotonic() + 20
            while pair.a == "x" and states() != ["done", "done", "running"] and time.monotonic() < deadline:
                time.sleep(0.1)
            if pair.a == "x":
                seen.append(states())
            return "s3://bucket/model"

        def sequence(clip, *_):
            return SimpleNamespace(id=clip.id, extraction=SimpleNamespace(content_digest=clip.id))

        stages = {"sequence": sequence, "train": train, "fetch_model": lambda *_: None}
        for name, stage in stages.items():
            monkeypatch.setattr(run._stages, name, stage)
        run.run(
            [Pair("a", "b"), Pair("c", "d"), Pair("x", "y")], {name: Clip(name, tmp_path / name) for name in "abcdxy"}
        )
    assert seen == [["done", "done", "running"]]


def test_a_record_that_takes_long_to_write_is_written_less_often(store, tmp_path, monkeypatch):
    record = RunRecord(name="large", command="", recipe={}, seed=None)
    with Client(ChannelSettings()) as client:
        run = DatasetRun(client, store, recipes.load("preview"), record, tmp_path, lambda event: None)
        monkeypatch.setattr(record, "write", lambda folder: time.sleep(0.4) or b"{}")
        run._note()
        assert 20 * 0.4 - 1 < run._next_note - time.monotonic() < 20
