"""`facefoundry run` makes what the dataset file says: its clips, pairs, splits, recipe and subjects."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import cast

import pytest

from facefoundry.cli.main import main
from facefoundry.client import Client
from facefoundry.dataset.costs import costs_of
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.errors import InvalidInput
from facefoundry.planning import yaml_file
from facefoundry.planning.check import CheckFolder, reading_of, signature_of
from facefoundry.planning.clips import find_clips
from facefoundry.planning.draft import plan
from facefoundry.planning.facts import ClipFacts, FaceFacts
from facefoundry.planning.objects import lister
from facefoundry.planning.rights import load_record
from facefoundry.planning.running import plan_of, run
from facefoundry.settings import StoreSettings
from facefoundry.v1 import extractor_pb2
from tests.facefoundry.dataset.fakes import FakeServices


class RecordingServices(FakeServices):
    """Services that keep what they were asked for."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.imports: list[extractor_pb2.ImportSourceRequest] = []
        self.subjects: dict[str, extractor_pb2.Subject] = {}
        self.excluded: dict[str, list[tuple[int, int]]] = {}
        self.names: set[tuple[str, int]] = set()

    def import_source(self, request, on_progress):
        self.imports.append(request)
        return super().import_source(request, on_progress)

    def extract(self, source_uri, sequence_id, recipe, on_progress, subject=None, excluded_frames=()):
        self.subjects[sequence_id] = subject
        self.excluded[sequence_id] = [(frames.first, frames.last) for frames in excluded_frames]
        return super().extract(source_uri, sequence_id, recipe, on_progress, subject)

    def start_training(self, request):
        self.names.add((request.dataset, request.recipe.training.iterations))
        return super().start_training(request)


@pytest.fixture
def dataset(tmp_path):
    """A dataset file of six clips in a list, one of them in a bucket; each but that has a record of rights."""
    (tmp_path / "clips").mkdir()
    rows = ["clip,subject,rights"]
    for number in range(5):
        (tmp_path / "clips" / f"{number}.mp4").write_bytes(b"clip %d" % number)
        (tmp_path / f"{number}.yaml").write_text(f"{{basis: consent, evidence: form {number}}}")
        rows.append(f"clips/{number}.mp4,s{number},{number}.yaml")
    (tmp_path / "list.csv").write_text("\n".join([*rows, "s3://elsewhere/in/5.mp4,s5,"]) + "\n")
    plan([tmp_path / "list.csv"], tmp_path / "dataset.yaml", name="six", recipe="preview", rights="unstated")
    return tmp_path / "dataset.yaml"


def edit(path, *changes):
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


def test_a_run_makes_what_the_file_says(dataset, tmp_path, store):
    edit(dataset, ("frames: {}", "frames: {'2': '0-4,9-max'}"), ("extractions: null", "extractions: 30"))
    edit(dataset, ("\nsubjects: {}", "\nsubjects: {'3': moving}"), ("levels: []", "levels: [c40, raw]"))
    edit(dataset, ("set: {}", "set: {training.iterations: 7, extraction.identity: false}"))
    services = RecordingServices(store, ["raw", "c40"])
    out = tmp_path / "out"
    records = run(dataset, out, cast(Client, services))
    assert [pair.state for pair in records] == ["done"] * 3, [pair.failure for pair in records]
    pairs = json.loads((out / "misc" / "filelist.json").read_text())
    splits = {path.stem: json.loads(path.read_text()) for path in (out / "misc" / "splits").iterdir()}
    assert sorted(splits) == ["test", "train", "val"]
    assert [pair for name in ("train", "val", "test") for pair in splits[name]] == pairs
    assert sorted(clip for pair in pairs for clip in pair) == ["0", "1", "2", "3", "4", "5"]
    record = RunFolder(FfppLayout(out).run_folder()).load_run()
    assert record.name == "six" and record.seed == 0 and record.retention == {"extractions": 30}
    assert record.estimate is None
    took = costs_of(RunFolder(FfppLayout(out).run_folder()).load_pairs())
    assert took.training_cpu_seconds == 3 * 1.5 and took.cpu_seconds == (6 + 6 + 6) * 1.5, "of each result once"
    assert took.video_bytes == sum(path.stat().st_size for path in out.rglob("*.mp4")) and took.unknown == 0
    assert services.names == {("six", 7)}
    assert services.subjects["3"].rule == "moving" and services.subjects["2"] is None
    assert (services.excluded["2"], services.excluded["3"]) == ([(0, 4), (9, 0)], [])
    digests = [load_record(tmp_path / f"{number}.yaml").digest for number in range(5)]
    assert {request.rights for request in services.imports} == {"unstated", *digests}
    assert [r.object_uri for r in services.imports if r.rights == "unstated"] == ["s3://elsewhere/in/5.mp4"]
    levels = {path.name for path in (out / "manipulated_sequences" / "Deepfakes").iterdir()}
    assert {"raw", "c40"} <= levels and "c23" not in levels


def test_excluded_frames_of_no_clip_are_refused(dataset):
    edit(dataset, ("frames: {}", "frames: {'9': '0-4'}"))
    with pytest.raises(InvalidInput, match=r"exclude\.frames\.9 must be the id of a clip") as caught:
        plan_of(dataset, lister(StoreSettings()))
    assert caught.value.reason == "EXCLUDED_FRAMES"


def save_facts(dataset, **facts_of):
    """Write what a check would have found out about every clip: one face in one frame, and the given facts by id."""
    made = yaml_file.load(dataset)
    for clip in find_clips(made, dataset.parent, lister(StoreSettings())).values():
        samples = [FaceFacts(0, 1, 50, 50, yaw=0.1 * (int(clip.id) % 3))]
        facts = ClipFacts(clip.id, signature_of(clip, reading_of(made)), height=100, samples=samples, engine="dlib")
        CheckFolder.of(dataset).save(replace(facts, **facts_of.get(f"c{clip.id}", {})), b"")


def without_splits(dataset, strategy):
    edit(dataset, ("strategy: shuffle", f"strategy: {strategy}"), ("kind: shares", "kind: none"))
    text = [
        line
        for line in dataset.read_text().splitlines()
        if not line.strip().startswith(("seed", "train", "val", "test"))
    ]
    dataset.write_text("\n".join(text))


def test_pairs_by_their_faces_are_those_of_the_check(dataset, capsys):
    without_splits(dataset, "nearest")
    with pytest.raises(SystemExit) as caught:
        main(["run", str(dataset), "-o", str(dataset.parent / "out")])
    assert caught.value.code == 2 and "plan --check" in capsys.readouterr().err
    save_facts(dataset)
    made, resolved = plan_of(dataset, lister(StoreSettings()))
    assert {frozenset(pair) for pair in made.pairs} == {frozenset(pair) for pair in ("03", "14", "25")}
    assert made.splits == {} and resolved.left_over == []


def test_a_run_of_checked_clips_knows_what_the_plan_expected(dataset):
    assert plan_of(dataset, lister(StoreSettings()))[0].estimate is None
    save_facts(dataset, **{f"c{number}": {"frames": 900, "width": 100, "size_bytes": 70} for number in range(6)})
    expected = plan_of(dataset, lister(StoreSettings()))[0].estimate
    assert expected and expected.cpu_hours > 0 and expected.clip_bytes == 6 * 70 and expected.training_hours is None
    CheckFolder.of(dataset).path.joinpath("check.json").write_text('{"rates": {"iterations_per_second": 2.0}}')
    rated = plan_of(dataset, lister(StoreSettings()))[0].estimate
    assert rated and rated.training_hours and rated.cpu_hours == expected.cpu_hours


@pytest.mark.parametrize("change", ["clip", "rate", "engine"])
def test_faces_of_what_is_no_longer_there_are_not_paired_by(dataset, change):
    without_splits(dataset, "nearest")
    save_facts(dataset)
    if change == "clip":
        (dataset.parent / "clips" / "3.mp4").write_bytes(b"another clip")
    elif change == "rate":
        edit(dataset, ("frame_rates: {}", "frame_rates: {'3': 12}"))
    else:
        save_facts(dataset, c3={"engine": "another"})
    with pytest.raises(InvalidInput, match="changed since") as caught:
        plan_of(dataset, lister(StoreSettings()))
    assert caught.value.reason == "NOT_CHECKED"


def test_a_run_keeps_clips_of_one_content_together_as_the_check_did(dataset):
    edit(dataset, ("train: 0.72", "train: 1"), ("val: 0.14", "val: 0"), ("test: 0.14", "test: 0"))
    _, before = plan_of(dataset, lister(StoreSettings()))
    a, b = before.pairs[0]
    save_facts(dataset, **{f"c{clip}": {"source_uri": "s3://bucket/sources/1"} for clip in (a, b)})
    _, resolved = plan_of(dataset, lister(StoreSettings()))
    assert len(resolved.pairs) == 3 and {a, b} not in [set(pair) for pair in resolved.pairs]
    (dataset.parent / "clips" / f"{a if a != '5' else b}.mp4").write_bytes(b"another clip")
    assert plan_of(dataset, lister(StoreSettings()))[1].pairs == before.pairs


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("levels: []", "levels: [c99]"), "c99"),
        (("\nsubjects: {}", "\nsubjects: {'3': tallest}"), "tallest"),
        (("name: six", "name: a b"), "name"),
        (("name: preview", "name: best"), "best"),
        (("frame_rates: {}", "frame_rates: {'3': 0}"), "frame_rates.3"),
    ],
)
def test_what_is_wrong_is_refused_before_any_work(dataset, capsys, change, complaint):
    edit(dataset, change)
    with pytest.raises(SystemExit) as caught:
        main(["run", str(dataset), "-o", str(dataset.parent / "out")])
    assert caught.value.code == 2 and complaint in capsys.readouterr().err
    assert not (dataset.parent / "out").exists()
