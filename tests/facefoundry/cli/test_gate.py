"""What the command says of fakes that do not pass gates, from records made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from facefoundry.cli.main import cli
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.gates import Gate
from facefoundry.dataset.record import FakeRecord, PairRecord, Retraining, RunRecord, TrainingRecord
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.errors import FaceFoundryError
from facefoundry.planning import gating
from facefoundry.storage import document, keys
from facefoundry.storage.store import Store

GATES = [
    Gate(measure="mouth", min=0.5, action="retrain"),
    Gate(measure="identity", min=0.0, action="drop"),
    Gate(measure="seam", max=1.2),
]


def pair(a: str, b: str, **changes: float) -> PairRecord:
    """A pair of whose fakes the first one differs from a good one."""
    good = {"mouth": 0.9, "mouth_motion": 0.1, "identity": 0.2, "seam": 1.0}
    fakes = [FakeRecord(f"{a}_{b}", a, b, quality={**good, **changes}), FakeRecord(f"{b}_{a}", b, a, quality={**good})]
    return PairRecord(f"{a}_{b}", a, b, state="done", training=TrainingRecord(f"s3://x/trainings/{a}"), fakes=fakes)


PAIRS = [
    pair("a", "b"),
    pair("c", "d", mouth=0.2, identity=-0.1),
    pair("e", "f", identity=-0.1),
    pair("g", "h", seam=1.5),
    pair("i", "j", mouth=0.2),
    pair("k", "l"),
]
PAIRS[4].retraining = Retraining(replaced=True)


def write(out: Path) -> tuple[RunFolder, RunRecord]:
    run = RunRecord("six", "", {}, pairs=[each.id for each in PAIRS], gates=GATES)
    folder = RunFolder(FfppLayout(out).run_folder())
    folder.save_run(run)
    for each in PAIRS[:5]:  # the last one has not begun
        folder.save_pair(each)
    return folder, run


def gate(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["gate", *arguments])


def test_the_table_has_every_fake_that_does_not_pass_what_would_happen_to_it_and_why(tmp_path: Path) -> None:
    write(tmp_path)
    shown = gate(str(tmp_path), "--dry-run").output
    assert [line.split() for line in shown.splitlines()[1:-1]] == [
        ["c_d", "trained", "again", "mouth", "0.2", "0.5"],
        ["identity", "-0.1", "0"],
        ["e_f", "dropped", "identity", "-0.1", "0"],
        ["g_h", "flagged", "seam", "1.5", "1.2"],
        ["i_j", "flagged", "mouth", "0.2", "0.5"],
    ]
    assert shown.endswith("4 of 10 measured fakes do not pass: 2 flagged, 1 trained again, 1 dropped.\n")


def test_other_gates_can_be_tried_and_nothing_is_changed(tmp_path: Path) -> None:
    folder, _ = write(tmp_path / "out")
    before = {path: path.read_bytes() for path in folder.path.rglob("*.json")}
    file = tmp_path / "dataset.yaml"
    file.write_text("name: x\nsources: [{kind: folder, path: .}]\ngates: [{measure: seam, max: 2, action: drop}]\n")
    shown = gate(str(tmp_path / "out"), "--gates", str(file), "--dry-run").output
    assert shown == "0 of 10 measured fakes do not pass.\n"
    assert {path: path.read_bytes() for path in folder.path.rglob("*.json")} == before


def test_json_has_one_line_for_each_fake(tmp_path: Path) -> None:
    write(tmp_path)
    lines = [json.loads(line) for line in gate(str(tmp_path), "--dry-run", "--json").output.splitlines()]
    assert [(line["fake"], line["outcome"]) for line in lines] == [
        ("c_d", "retrain"), ("e_f", "drop"), ("g_h", "flag"), ("i_j", "flag")
    ]  # fmt: skip
    assert lines[1]["measures"] == [["identity", -0.1, 0.0]] and "looks more like the target" in lines[1]["faults"][0]


def test_without_dry_run_it_says_what_applies_gates(tmp_path: Path) -> None:
    refused = gate(str(tmp_path))
    assert refused.exit_code == 2 and "facefoundry run FILE" in refused.output


def test_a_name_without_a_record_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FACEFOUNDRY_STORE_ACCESS_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    found = gate("celebs", "--dry-run").exception
    assert isinstance(found, FaceFoundryError) and found.reason == "NO_RUN" and "'celebs'" in found.message


def test_the_record_of_a_run_is_read_from_the_bucket_too(store: Store, tmp_path: Path) -> None:
    folder, run = write(tmp_path)
    for path in folder.path.rglob("*.json"):
        document.put(store, f"{keys.run('six')}/{path.relative_to(folder.path).as_posix()}", path.read_bytes())
    found, pairs = gating.load("six", store)
    assert found == run and [each.id for each in pairs] == run.pairs
    assert pairs[:5] == PAIRS[:5] and pairs[5] == PairRecord("k_l", "k", "l")
    assert [each.fake for each in gating.gated(pairs, found.gates)] == ["c_d", "e_f", "g_h", "i_j"]


def test_a_fake_whose_partner_asks_for_a_second_training_is_made_again_before_it_is_dropped() -> None:
    both = pair("a", "b", identity=-0.1)
    both.fakes[1].quality["mouth"] = 0.2
    assert [(each.fake, each.outcome) for each in gating.gated([both], GATES)] == [
        ("a_b", "retrain"),
        ("b_a", "retrain"),
    ]
    both.retraining = Retraining()
    assert [each.outcome for each in gating.gated([both], GATES)] == ["drop", "flag"]


def test_a_pair_whose_model_was_given_is_not_trained_again() -> None:
    given = pair("a", "b", mouth=0.2)
    given.training = TrainingRecord(model_uri="s3://x/models/1")
    assert [each.outcome for each in gating.gated([given], GATES)] == ["flag"]
