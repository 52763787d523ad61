"""The run record on disk: what was written is read, and what is wrong is named."""

from __future__ import annotations

import json

import pytest

from facefoundry.dataset.record import (
    Failure,
    FakeRecord,
    IdentityDistances,
    PairRecord,
    Preview,
    RunRecord,
    Sample,
    SequenceRecord,
    StageTime,
    TrainingRecord,
)
from facefoundry.errors import InvalidInput, NotFound
from facefoundry.storage.info import ReasonCount

PAIR = PairRecord(
    "A_B",
    "A",
    "B",
    state="failed",
    failure=Failure("train", "COLLAPSED", 'a "word"'),
    training=TrainingRecord("t", "m", 9, 3, 1.5, 2.0, 1, [(1, 0.25, None)], [Preview(1, "A_B/1.jpg")]),
    fakes=[
        FakeRecord(
            "A_B",
            "A",
            "B",
            labels=[1, 0],
            reasons=[ReasonCount("NO_FACE", 1)],
            samples=[Sample(7, source="a.jpg")],
            quality={"mean_change": 2.5, "mouth": 0.9},
            identity=IdentityDistances(5, 0.5),
        )
    ],
    stages=[StageTime("train", 2.5)],
)
RUN = RunRecord("n", "c", {"name": "ffpp", "training": {"seed": 1}}, 7, sequences={"A": SequenceRecord("s3://b/a", 9)})


def test_what_was_written_is_read(run_folder):
    run_folder.save_run(RUN)
    run_folder.save_pair(PAIR)
    assert run_folder.load_run() == RUN
    assert run_folder.load_pair("A_B") == PAIR
    assert sorted(path.name for path in run_folder.path.rglob("*")) == ["A_B.json", "pairs", "run.json"]


def test_numbers_that_are_none_are_null(run_folder):
    run_folder.save_pair(PairRecord("A_B", "A", "B", training=TrainingRecord(losses=[(1, float("nan"), 0.5)])))
    assert run_folder.load_pair("A_B").training.losses == [(1, None, 0.5)]


def test_a_pair_without_a_file_has_not_begun(run_folder):
    assert run_folder.load_pair("A_B") == PairRecord("A_B", "A", "B", state="pending")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"state": "odd"}, "state"),
        ({"fakes": [{"id": "A_B", "target": "A"}]}, r"fakes\.0\.source"),
        ({"training": {"iterations": "many"}}, r"training\.iterations"),
        ({"failure": {"stage": "train", "reason": "X"}}, r"failure\.message"),
    ],
)
def test_a_wrong_field_of_a_pair_is_named_with_its_file(run_folder, change, field):
    run_folder.save_pair(PAIR)
    path = run_folder.path / "pairs" / "A_B.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InvalidInput, match=rf"A_B\.json is not a run record: .*{field}") as caught:
        run_folder.load_pair("A_B")
    assert caught.value.reason == "NOT_A_RUN_RECORD"


@pytest.mark.parametrize("text", ["", "[]", "{", "{}", '{"format": "facefoundry.run/2", "name": "n"}'])
def test_another_file_is_no_run_record(run_folder, text):
    run_folder.save_run(RUN)
    (run_folder.path / "run.json").write_text(text)
    with pytest.raises(InvalidInput, match=r"run\.json is not a run record"):
        run_folder.load_run()


def test_a_record_of_an_earlier_version_says_how_to_make_it_again(run_folder):
    run_folder.save_run(RUN)
    (run_folder.path / "run.json").write_text(
        '{"format": "facefoundry.run/1", "name": "old", "pairs": [{"id": "a_b"}]}'
    )
    with pytest.raises(InvalidInput, match="Run the dataset's command again") as caught:
        run_folder.load_run()
    assert caught.value.reason == "RUN_FORMAT"
    assert run_folder.run_name() == "old"


def test_a_pair_cannot_name_a_file_elsewhere(run_folder):
    run_folder.save_run(RunRecord("n", "c", {}, pairs=["../../secret_b"]))
    with pytest.raises(InvalidInput, match=r"expected pairs such as 033_097\. Received '\.\./\.\./secret_b'"):
        run_folder.load_run()


def test_no_record_is_not_found(run_folder):
    with pytest.raises(NotFound, match=r"run\.json does not exist"):
        run_folder.load_run()
    assert run_folder.run_name() is None


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format": "x", "name": 7}', b'{"format": "x", "name": ""}'])
def test_a_record_that_cannot_be_read_has_no_name(run_folder, content):
    run_folder.save_run(RUN)
    (run_folder.path / "run.json").write_bytes(content)
    assert run_folder.run_name() is None
