"""The export `ffpp`, and what all exports have in common: names, splits, updates, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from facefoundry.cli.main import cli
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.record import PairRecord, State
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.dataset.stored_dataset import DatasetPlace
from facefoundry.errors import InvalidInput
from facefoundry.exports.dataset import load_dataset
from facefoundry.exports.ffpp import FfppExport, FfppOptions
from facefoundry.exports.numbering import three_digits
from facefoundry.exports.place import BucketPlace, FolderPlace
from facefoundry.exports.record import ExportRecord, parse_record
from facefoundry.exports.run import Exported, export_dataset
from facefoundry.storage.store import Store
from tests.facefoundry.exports.made import FRAMES, PAIRS, without_pair, write_dataset, write_labels

NAMES = {"1000": "000", "1001": "001", "crawford": "002", "frames-1": "003", "mask-7": "004", "raw": "005"}


def _export(layout: Layout, out: Path, *, update: bool = False, options: FfppOptions | None = None) -> Exported:
    return export_dataset(
        FfppExport(), load_dataset(layout.root), FolderPlace(out), update=update, options=options, processes=2
    )


def _files(folder: Path) -> dict[str, int]:
    """Return the files below a folder, with their times."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in found}


def _record(out: Path) -> ExportRecord:
    return parse_record((out / "export.json").read_bytes(), "export.json")


def test_ids_that_readers_misread_are_renumbered_with_a_dictionary(text_dataset: Layout, tmp_path: Path) -> None:
    exported = _export(text_dataset, tmp_path / "out")
    out = tmp_path / "out"
    assert json.loads((out / "conversion_dict.json").read_text()) == {name: id_ for id_, name in NAMES.items()}
    fakes = out / "manipulated_sequences" / "Deepfakes"
    names = {f"{NAMES[a]}_{NAMES[b]}" for pair in PAIRS for a, b in (pair, pair[::-1])}
    for kind in ("raw", "c23", "masks"):
        assert {path.stem for path in (fakes / kind / "videos").iterdir()} == names
    assert {path.stem for path in (fakes / "labels").iterdir()} == names
    real = out / "original_sequences" / "youtube"
    assert (real / "c23" / "videos" / "002.mp4").read_text() == "crawford c23"
    assert (fakes / "raw" / "videos" / "002_003.mp4").read_text() == "crawford_frames-1 raw"
    assert json.loads((out / "train.json").read_text()) == [["002", "003"]]
    assert json.loads((out / "val.json").read_text()) == [["000", "001"]]
    assert json.loads((out / "test.json").read_text()) == [["005", "004"]]
    assert exported.done == exported.items and not exported.failed


def test_raw_is_c0_if_asked_for(text_dataset: Layout, tmp_path: Path) -> None:
    _export(text_dataset, tmp_path / "out", options=FfppOptions(c0=True))
    levels = {path.name for path in (tmp_path / "out" / "original_sequences" / "youtube").iterdir()}
    assert levels == {"c0", "c23"}


def test_ids_of_three_digits_stay_and_more_than_a_thousand_are_refused() -> None:
    assert three_digits(["003", "000", "a"], {}) == {"000": "000", "003": "003", "a": "001"}
    assert three_digits(["b", "c", "000"], {"b": "000"}) == {"b": "000", "000": "001", "c": "002"}
    with pytest.raises(InvalidInput) as caught:
        three_digits(map(str, range(1000, 2001)), {})
    assert caught.value.reason == "TOO_MANY_SEQUENCES"


def test_a_second_run_writes_nothing_and_an_update_only_what_changed(text_dataset: Layout, tmp_path: Path) -> None:
    out = tmp_path / "out"
    _export(text_dataset, out)
    before, version = _files(out), _record(out).version
    again = _export(text_dataset, out)
    assert again.found == again.items
    assert {name: time for name, time in _files(out).items() if name != "export.json"} == {
        name: time for name, time in before.items() if name != "export.json"
    }
    without_pair(text_dataset, PAIRS[1], new=("a", "b"))
    with pytest.raises(InvalidInput, match="--update") as caught:
        _export(text_dataset, out)
    assert caught.value.reason == "EXPORT"
    updated = _export(text_dataset, out, update=True)
    after = _files(out)
    record = _record(out)
    assert record.complete and record.version != version
    assert record.numbers == {id_: name for id_, name in NAMES.items() if id_ not in PAIRS[1]} | {
        "a": "000",
        "b": "001",
    }
    touched = {name for name in after if after[name] != before.get(name)}
    named = ("000", "001", "conversion_dict", "val", "export")
    assert all(Path(name).stem.startswith(named) for name in touched)
    assert {name for name in after if Path(name).stem.startswith(("002", "003", "004", "005"))} <= set(after) - touched
    assert updated.removed == ()  # the new pair has the names of the one that is gone


def test_an_update_removes_what_is_gone(text_dataset: Layout, tmp_path: Path) -> None:
    out = tmp_path / "out"
    _export(text_dataset, out)
    without_pair(text_dataset, PAIRS[2])
    updated = _export(text_dataset, out, update=True)
    assert updated.removed
    assert not [name for name in _files(out) if Path(name).stem.startswith(("004", "005"))]
    assert json.loads((out / "test.json").read_text()) == []


def test_a_stopped_export_is_continued(text_dataset: Layout, tmp_path: Path) -> None:
    out, done = tmp_path / "out", list[int]()

    def stop(state: Exported) -> None:
        done.append(state.done)
        if state.done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_dataset(FfppExport(), load_dataset(text_dataset.root), FolderPlace(out), processes=1, on_progress=stop)
    stopped = _record(out)
    assert not stopped.complete and stopped.version == ""
    assert sum(bool(item.digest) for item in stopped.items.values()) == 5
    assert not (out / ".export").exists()
    exported = _export(text_dataset, out)
    assert exported.found == 5 and exported.done == exported.items
    assert _record(out).complete


def test_unswapped_fakes_are_left_out_and_named_and_poor_ones_flagged(text_dataset: Layout, tmp_path: Path) -> None:
    write_labels(text_dataset, "1000_1001", [])
    write_labels(text_dataset, "crawford_frames-1", range(2))
    record = _export(text_dataset, tmp_path / "out").record
    assert record.remarks == (f"crawford_frames-1: only 2 of {FRAMES} frames are swapped.",)
    assert record.left_out == (
        "1000_1001: none of its frames is swapped.",
        "1001_1000: the other fake of its pair is missing, and this format lists whole pairs.",
    )
    assert set(record.numbers) == {"crawford", "frames-1", "raw", "mask-7"}


def test_a_dataset_without_a_whole_pair_is_refused_before_anything_is_written(
    text_dataset: Layout, tmp_path: Path
) -> None:
    for a, b in PAIRS:
        write_labels(text_dataset, f"{b}_{a}", [])
    with pytest.raises(InvalidInput, match="the other fake of its pair is missing") as caught:
        _export(text_dataset, tmp_path / "out")
    assert caught.value.reason == "NO_FAKES" and not (tmp_path / "out").exists()


@pytest.mark.parametrize("state", ["failed", "pending"])
def test_pairs_that_are_not_done_are_named(text_dataset: Layout, tmp_path: Path, state: State) -> None:
    RunFolder(text_dataset.run_folder()).save_pair(PairRecord("1000_1001", "1000", "1001", state=state))
    record = _export(text_dataset, tmp_path / "out").record
    assert record.left_out == (f"1000_1001: its pair is {state}.", f"1001_1000: its pair is {state}.")
    assert record.remarks == (("The run has not ended: 2 of 3 pairs are done.",) if state == "pending" else ())


def test_a_sequence_in_two_splits_is_refused(tmp_path: Path) -> None:
    splits = {"train": [("a", "b")], "val": [("c", "b")], "test": []}
    layout = write_dataset(FfppLayout(tmp_path / "d"), [("a", "b"), ("c", "b")], splits, videos=False)
    with pytest.raises(InvalidInput, match="b is in train and in val") as caught:
        load_dataset(layout.root)
    assert caught.value.reason == "SPLIT"


def test_what_is_in_the_way_is_refused_before_anything_is_written(text_dataset: Layout, tmp_path: Path) -> None:
    out = tmp_path / "out"
    text_dataset.fake_video("c23", "1000_1001").unlink()
    with pytest.raises(InvalidInput) as caught:
        _export(text_dataset, out)
    assert caught.value.reason == "FILE" and "1000_1001.mp4" in caught.value.message
    assert not out.exists()
    out.mkdir()
    (out / "other.txt").touch()
    with pytest.raises(InvalidInput) as caught:
        _export(text_dataset, out)
    assert caught.value.reason == "EXPORT"


def test_an_export_can_be_in_a_bucket(text_dataset: Layout, store: Store) -> None:
    place = DatasetPlace(store.bucket, "datasets/made-ffpp")
    target = BucketPlace(store, place)
    dataset = load_dataset(text_dataset.root)
    exported = export_dataset(FfppExport(), dataset, target, levels=["c23"], processes=2)
    keys = set(store.list(place.key("")))
    assert store.get_bytes(place.key("original_sequences/youtube/c23/videos/002.mp4")) == b"crawford c23"
    assert len(keys) == exported.items + 1  # and export.json
    again = export_dataset(FfppExport(), dataset, target, levels=["c23"], processes=2)
    assert again.found == again.items


@pytest.mark.parametrize(("name", "default"), [("ffpp", "all"), ("sbi", "raw"), ("dfdc", "c23, else raw, else c40")])
def test_the_help_names_the_levels_without_the_option(name: str, default: str) -> None:
    shown = " ".join(CliRunner().invoke(cli, ["export", name, "--help"]).output.split())
    assert f"[default: {default}]" in shown


def test_the_command_says_what_it_does(text_dataset: Layout, tmp_path: Path) -> None:
    arguments = ["export", "ffpp", str(text_dataset.root), str(tmp_path / "out"), "--json", "--c0"]
    done = CliRunner().invoke(cli, [*arguments, "--dry-run"])
    assert done.exit_code == 0, done.output
    assert not (tmp_path / "out").exists()
    assert not list(text_dataset.root.rglob("digests.json")), "a dry run writes nothing, into the dataset neither"
    done = CliRunner().invoke(cli, arguments)
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["event"] == "exported" and last["done"] == last["items"]
    assert last["version"] == _record(tmp_path / "out").version
