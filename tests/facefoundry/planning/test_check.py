"""`facefoundry plan --check` against real services: what it finds, what it writes, and that it goes on where it was."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path

import pytest

from facefoundry.cli.main import main
from facefoundry.client import Client
from facefoundry.dataset.transfer import Transfers
from facefoundry.errors import InvalidInput
from facefoundry.planning import yaml_file
from facefoundry.planning.check import CheckFolder
from facefoundry.planning.checking import check, check_with
from facefoundry.planning.draft import plan
from facefoundry.planning.facts import ClipFacts
from facefoundry.planning.objects import lister
from facefoundry.storage.store import Store
from tests.clips import drifting_face, encode
from tests.services.running import serving


@pytest.fixture(scope="module")
def services(new_store, tmp_path_factory):
    with serving(new_store(), tmp_path_factory.mktemp("scratch")) as running:
        yield running


@pytest.fixture
def dataset(tmp_path) -> Path:
    """A dataset file for eight clips: four good ones, one of them under a second name, a cut, no face, half a file."""
    folder = tmp_path / "clips"
    folder.mkdir()
    good = encode(folder / "good.mp4", drifting_face(8))
    for number in (2, 3, 4):
        encode(folder / f"b_{number}.mp4", drifting_face(8, first=20 * number))
    (folder / "good-again.mp4").write_bytes(good.read_bytes())
    flat = [picture * 0 + 90 for picture in drifting_face(8)]
    encode(folder / "cut.mp4", chain(list(drifting_face(5)), [picture[::-1] // 3 for picture in drifting_face(4)]))
    encode(folder / "flat.mp4", flat)
    (folder / "half.mp4").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    path = tmp_path / "dataset.yaml"
    plan([folder], path, recipe="preview", rights="unstated")
    return path


def test_a_check_tells_what_a_run_would_fail_on_and_is_not_made_twice(services, dataset):
    seen: list[ClipFacts] = []
    with Client(services.channels, retry_seconds=5) as client:
        outcome = check(dataset, client, sample_frames=4, threads=2, on_clip=seen.append)
        assert sorted(facts.id for facts in seen) == ["b-2", "b-3", "b-4", "cut", "flat", "good", "good-again", "half"]
        table = {row.what: (row.state, row.found) for row in outcome.table() if row.what}
        assert table["readable"] == ("fails", "7 of 8 clips, not half")
        assert table["without a face"] == ("fails", "1: flat")
        assert table["cuts"] == ("look", "1: cut") and outcome.facts["cut"].cuts == [5]
        assert table["same clip"] == ("look", "1: good = good-again")
        splits_of = [outcome.resolved.split_of[clip] for clip in ("good", "good-again")]
        assert splits_of == ["train", "train"] and {"good", "good-again"} not in map(set, outcome.resolved.pairs)
        assert table["ids changed"] == ("ok", "3, see ids.json")
        assert table["pairs that can be made"][0] == "fails"
        folder = CheckFolder.of(dataset)
        assert folder.sheet("good").read_bytes().startswith(b"\x89PNG")
        page = (folder.path / "index.html").read_text()
        assert page.index('id="flat"') < page.index('id="good"') and 'src="faces/good.png"' in page
        assert json.loads((folder.path / "ids.json").read_text()) == {"b-2": "b_2", "b-3": "b_3", "b-4": "b_4"}
        pairs = json.loads((folder.path / "filelist.json").read_text())
        splits = [json.loads((folder.path / f"{name}.json").read_text()) for name in ("train", "val", "test")]
        assert len(pairs) == 4 and sorted(pair for split in splits for pair in split) == sorted(pairs)

        known = {path: path.stat().st_mtime_ns for path in (folder.path / "clips").iterdir()}
        (folder.path / "clips" / "cut.json").write_text("{")  # as if the check had been killed before this clip
        encode(dataset.parent / "clips" / "flat.mp4", drifting_face(6))
        again = check(dataset, client, sample_frames=4)
        assert again.facts["flat"].has_faces and again.facts["cut"] == outcome.facts["cut"]
        made = {path.stem for path, time in known.items() if path.stat().st_mtime_ns != time}
        assert made == {"cut", "flat"}

        path = dataset.read_text()
        dataset.write_text(path.replace("frames: {}", "frames: {cut: 5-max, flat: 0-0}"))
        used = check(dataset, client, sample_frames=4).facts["cut"]  # nothing is searched again
        assert used.cuts == [] and {face.frame for face in used.samples} == {0, 3}
        dataset.write_text(path.replace("frames: {}", "frames: {cut: 5-9}"))
        with pytest.raises(InvalidInput, match=r"exclude\.frames\.cut\[0\] must be within the 9 frames of the clip"):
            check(dataset, client, sample_frames=4)


def test_nearest_pairs_by_what_the_check_measured_and_a_clip_of_the_bucket_is_not_sent(services, tmp_path):
    store: Store = services.store
    for number, darker in enumerate((1, 3, 4)):
        path = encode(tmp_path / f"{number}.mp4", (picture // darker for picture in drifting_face(4)))
        store.put_file(f"in/{number}.mp4", path)
    rows = "".join(f"{store.uri(f'in/{number}.mp4')},{number}\n" for number in range(3))
    (tmp_path / "clips.csv").write_text(f"clip,subject\n{rows}")
    plan([tmp_path / "clips.csv"], tmp_path / "d.yaml", recipe="preview", rights="unstated")
    text = (tmp_path / "d.yaml").read_text().replace("strategy: shuffle\n  ", "strategy: nearest\n  #")
    (tmp_path / "d.yaml").write_text("\n".join(line for line in text.splitlines() if "seed:" not in line))
    assert yaml_file.load(tmp_path / "d.yaml").pairs.strategy == "nearest"
    before = set(store.list("uploads/"))
    with Client(services.channels, retry_seconds=5) as client:
        outcome = check(tmp_path / "d.yaml", client, sample_frames=2)
    assert [facts.message for facts in outcome.facts.values() if facts.reason] == []
    assert [set(pair) for pair in outcome.resolved.pairs] == [{"1", "2"}]
    assert set(store.list("uploads/")) == before


def test_the_command_prints_the_table_and_its_exit_code_says_whether_clips_fail(services, dataset, capsys):
    def run(*arguments: object) -> int:
        with pytest.raises(SystemExit) as caught:
            options = ["--extractor", services.addresses["extractor"], "--frames=2"]
            main(["plan", "--check", *map(str, arguments), *options])
        return int(caught.value.code or 0)

    assert run(dataset) == 3
    printed = capsys.readouterr().out
    assert "7 of 8 clips, not half" in printed and "index.html" in printed
    text = dataset.read_text().replace("clips: []", "clips: [flat, half]").replace("0.72", "1").replace("0.14", "0")
    dataset.write_text(text)
    assert run(dataset, "--json") == 0
    (event,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert event["event"] == "check" and {"what": "readable", "state": "ok", "found": "6 of 6 clips"} in event["rows"]
    assert run(dataset, "--rates", dataset.parent) == 2
    assert "run.json does not exist" in capsys.readouterr().err


def test_what_is_wrong_with_the_file_is_found_before_any_clip_is_sent(services, dataset):
    text = dataset.read_text()
    sent = sorted(services.store.list(""))
    with Client(services.channels, retry_seconds=5) as client:
        for old, new, reason in (
            ("levels: []", "levels: [c99]", "UNKNOWN_LEVEL"),
            ("set: {}", "set: {training.colour: red}", "RECIPE_FIELD"),
            ("frame_rates: {}", "frame_rates: {good: fast}", "FPS"),
            ("frame_rates: {}", "frame_rates: {other: 25}", "FPS"),
            ("train: 0.72", "train: 0.73", "DATASET_FILE"),
            ("clips: []", "clips: [nobody]", "UNKNOWN_CLIP"),
        ):
            dataset.write_text(text.replace(old, new))
            with pytest.raises(InvalidInput) as caught:
                check(dataset, client)
            assert caught.value.reason == reason
    assert sorted(services.store.list("")) == sent


def test_an_object_that_was_replaced_is_checked_again_and_one_that_was_not_is_not(services, tmp_path):
    store: Store = services.store
    first, other = (encode(tmp_path / f"{name}.mp4", drifting_face(4, first=at)) for name, at in (("a", 0), ("b", 30)))
    for number in range(2):
        store.put_file(f"replaced/{number}.mp4", first)
    list_objects = lister(store.settings)
    path = tmp_path / "dataset.yaml"
    plan(
        [store.uri("replaced/")], path, name="replaced", rights="unstated", recipe="preview", list_objects=list_objects
    )
    with Client(services.channels, retry_seconds=5) as client:

        def checked() -> dict[str, ClipFacts]:
            return check_with(path, Transfers(client), list_objects, 2, 1, None, lambda _: None).facts

        with pytest.raises(InvalidInput) as caught:
            checked()
        assert caught.value.reason == "NO_PAIRS", "both objects are one clip"
        files = CheckFolder.of(path).path / "clips"
        times = {name: (files / f"{name}.json").stat().st_mtime_ns for name in "01"}
        store.put_file("replaced/1.mp4", other)
        facts = checked()
    assert facts["0"].source_uri != facts["1"].source_uri
    assert [name for name in "01" if (files / f"{name}.json").stat().st_mtime_ns != times[name]] == ["1"]
