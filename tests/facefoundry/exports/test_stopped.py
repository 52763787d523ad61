"""Exports that something stops, and records that name what is not theirs: nothing stale stays, nothing else goes."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest

from facefoundry.dataset.layout import Layout
from facefoundry.errors import InvalidInput
from facefoundry.exports.dataset import load_dataset
from facefoundry.exports.ffpp import FfppExport
from facefoundry.exports.place import FolderPlace
from facefoundry.exports.run import Exported, export_dataset
from tests.facefoundry.exports.index_export import IndexExport, IndexOptions
from tests.facefoundry.exports.made import PAIRS, without_pair

GONE = "_".join(PAIRS[2])


def _export(layout: Layout, place: FolderPlace, *, update: bool = False) -> Exported:
    return export_dataset(FfppExport(), load_dataset(layout.root), place, update=update, processes=1)


def _colours(layout: Layout, out: Path, *, update: bool = False) -> Exported:
    options = IndexOptions(colours=True)
    dataset = load_dataset(layout.root)
    place = FolderPlace(out)
    return export_dataset(IndexExport(), dataset, place, levels=["raw"], options=options, update=update, processes=1)


def _edit(out: Path, **values: object) -> None:
    path = out / "export.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize("path", ["../victim/", "/", "/victim", "a/../../victim/", "..\\victim", "./x", "export.json"])
def test_a_record_that_names_paths_outside_is_refused(text_dataset: Layout, tmp_path: Path, path: str) -> None:
    out, victim = tmp_path / "out", tmp_path / "victim"
    victim.mkdir()
    _export(text_dataset, FolderPlace(out))
    _edit(out, items={"x": {"digest": "", "outputs": [path]}})
    with pytest.raises(InvalidInput) as caught:
        _export(text_dataset, FolderPlace(out), update=True)
    assert caught.value.reason == "EXPORT" and victim.is_dir() and (out / "train.json").is_file()


@pytest.mark.parametrize("numbers", [{"crawford": "../../..//escaped"}, {"crawford": "7"}, {"a": "001", "b": "001"}])
def test_a_record_with_other_numbers_is_refused(text_dataset: Layout, tmp_path: Path, numbers: dict[str, str]) -> None:
    out = tmp_path / "out"
    _export(text_dataset, FolderPlace(out))
    _edit(out, numbers=numbers)
    with pytest.raises(InvalidInput, match="numbers of three digits") as caught:
        _export(text_dataset, FolderPlace(out), update=True)
    assert caught.value.reason == "EXPORT" and not list(tmp_path.rglob("escaped*"))


def test_a_link_that_leads_out_of_an_export_is_not_followed(tmp_path: Path) -> None:
    out, victim = tmp_path / "out", tmp_path / "victim"
    (victim / "folder").mkdir(parents=True)
    out.mkdir()
    (out / "link").symlink_to(victim)
    place = FolderPlace(out)
    for act in (place.remove, place.count, lambda path: place.write(path, b"")):
        with pytest.raises(InvalidInput, match="A link leads out of it"):
            act("link/folder")
    assert (victim / "folder").is_dir()


class StopsAtTheThirdRemoval(FolderPlace):
    removals = 0

    def remove(self, path: str) -> None:
        self.removals += 1
        if self.removals == 3:
            raise KeyboardInterrupt
        super().remove(path)


def test_an_update_that_is_stopped_in_the_removal_is_continued(text_dataset: Layout, tmp_path: Path) -> None:
    out = tmp_path / "out"
    _export(text_dataset, FolderPlace(out))
    without_pair(text_dataset, PAIRS[2])
    with pytest.raises(KeyboardInterrupt):
        _export(text_dataset, StopsAtTheThirdRemoval(out), update=True)
    assert _export(text_dataset, FolderPlace(out)).record.complete
    assert not [path for path in out.rglob("*") if path.stem.startswith(("004", "005"))]


def test_what_could_not_be_made_again_is_gone(dataset_copy: Layout, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert _colours(dataset_copy, out).record.complete
    dataset_copy.fake_video("raw", GONE).write_bytes(b"no video")
    failed = _colours(dataset_copy, out, update=True)
    assert len(failed.failed) == 1 and not (out / "raw" / f"{GONE}.json").exists(), "it was of the old video"
    without_pair(dataset_copy, PAIRS[2])
    assert _colours(dataset_copy, out, update=True).record.complete
    assert not list(out.rglob(f"{GONE}*"))


def test_two_exports_do_not_write_to_one_folder(text_dataset: Layout, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    held = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(InvalidInput, match="no other export") as caught:
            _export(text_dataset, FolderPlace(out))
    finally:
        os.close(held)
    assert caught.value.reason == "EXPORT" and not list(out.iterdir())
    assert _export(text_dataset, FolderPlace(out)).record.complete


def test_a_run_that_another_one_overtook_does_not_write(text_dataset: Layout, tmp_path: Path) -> None:
    place, dataset = FolderPlace(tmp_path / "out"), load_dataset(text_dataset.root)

    def other(_: Exported) -> None:
        export_dataset(FfppExport(), dataset, place, levels=["raw"], processes=1)

    with pytest.raises(InvalidInput, match="has ended just now"):
        export_dataset(FfppExport(), dataset, place, on_start=other, processes=1)


def test_a_file_in_the_place_of_the_folder_is_named(text_dataset: Layout, tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(InvalidInput, match="which is a file") as caught:
        _export(text_dataset, FolderPlace(tmp_path / "out"))
    assert caught.value.reason == "OUTPUT"


def test_what_the_disk_refuses_is_named(tmp_path: Path) -> None:
    (tmp_path / "c23").touch()
    with pytest.raises(InvalidInput, match=r"Cannot read or write .*c23.* Check the permissions") as caught:
        FolderPlace(tmp_path).write("c23/000.mp4", b"")
    assert caught.value.reason == "OUTPUT"
