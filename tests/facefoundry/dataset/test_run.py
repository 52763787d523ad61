"""How the pairs of a run end. The journeys show whole runs."""

from pathlib import Path

from facefoundry import recipes
from facefoundry.client import Client
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
