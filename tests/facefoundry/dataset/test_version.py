"""Equal content has one version wherever it lies, and `diff` names what differs if versions do."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from facefoundry.cli.main import cli
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.layouts import GROUP
from facefoundry.dataset.plan import Pair
from facefoundry.dataset.splits import splits_folder
from facefoundry.dataset.version import DatasetIndex, index_of
from facefoundry.dataset.version_diff import compare
from facefoundry.dataset.version_places import IndexedDataset, folder_index
from facefoundry.errors import InvalidInput
from facefoundry.storage.parts import MASKS
from tests.facefoundry.dataset.flat_layout import FlatLayout

LEVELS = ("raw", "c23")
PINNED = "cadc6182f448"


def rows(*swapped: bool) -> bytes:
    frames = [
        {"frame": frame, "swapped": each, "reason": None if each else "NO_FACE", "box": [1, 2, 3, 4] if each else None}
        for frame, each in enumerate(swapped)
    ]
    return json.dumps({"frames": frames}).encode()


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def fill(layout: Layout) -> Layout:
    """Write a dataset of two pairs and splits. Videos are texts."""
    pairs = [("a-1", "b"), ("c", "d")]
    for clip in ["a-1", "b", "c", "d"]:
        for level in LEVELS:
            write(layout.real_video(level, clip), f"{clip} {level}".encode())
    for a, b in pairs:
        for fake in (f"{a}_{b}", f"{b}_{a}"):
            for level in LEVELS:
                write(layout.fake_video(level, fake), f"{fake} {level}".encode())
            for kind in MASKS:
                write(layout.mask_video(kind, fake), f"{fake} {kind}".encode())
            write(layout.labels(fake), rows(True, False, True))
    write(layout.filelist(), json.dumps(pairs).encode())
    for name, chosen in {"train": pairs[:1], "val": [], "test": pairs[1:]}.items():
        write(splits_folder(layout) / f"{name}.json", json.dumps(chosen).encode())
    return layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return fill(FfppLayout(tmp_path / "dataset"))


def diff(*words: object) -> Result:
    return CliRunner().invoke(cli, ["diff", *map(str, words)], catch_exceptions=False)


def differences(first: Layout, second: Layout) -> list[tuple[str, ...]]:
    done = diff(first.root, second.root, "--json")
    found = json.loads(done.output)
    assert done.exit_code == bool(found["differences"])
    return [(each["change"], each["what"], each["id"], *each["detail"]) for each in found["differences"]]


def test_the_version_depends_on_content_alone(layout: Layout, tmp_path: Path, flat_package: None) -> None:
    assert FlatLayout.name in GROUP.names()
    version = folder_index(layout).version
    other = fill(FlatLayout(tmp_path / "elsewhere"))
    write(other.filelist(), b'[["d", "c"], ["b", "a-1"]]')
    write(splits_folder(other) / "train.json", b'[["b", "a-1"]]')
    write(other.models() / "a-1_b" / "weights.safetensors", b"model")
    write(other.report_page(), b"page")
    assert folder_index(other).version == version
    assert version[:12] == PINNED, "versions that are written down would name nothing any more"


def test_an_index_has_every_video_mask_and_label(layout: Layout) -> None:
    index = folder_index(layout)
    assert {clip: [*files] for clip, files in index.clips.items()} == {clip: ["c23", "raw"] for clip in index.clips}
    assert [*index.clips] == ["a-1", "b", "c", "d"] and sorted(index.fakes) == ["a-1_b", "b_a-1", "c_d", "d_c"]
    assert all(set(files) == {*LEVELS, *MASKS, "labels"} for files in index.fakes.values())
    assert (index.pairs, index.levels) == (["a-1_b", "c_d"], ["c23", "raw"])


def test_a_layout_that_repeats_the_id_in_its_folders_is_read(tmp_path: Path) -> None:
    class Nested(FfppLayout):
        def real_video(self, level: str, sequence: str) -> Path:
            return self.root / "real" / sequence / level / f"{sequence}-{level}.mp4"

    index = index_of([("real/a/raw/a-raw.mp4", "1"), ("real/a/raw/b-raw.mp4", "2")], Nested(tmp_path), {})
    assert index.clips == {"a": {"raw": "1"}}


def test_known_files_are_not_read_again_and_changed_ones_are(layout: Layout) -> None:
    before = folder_index(layout)
    path = layout.real_video("raw", "b")
    known = layout.run_folder() / "digests.json"
    document = json.loads(known.read_bytes())
    document["files"][path.relative_to(layout.root).as_posix()]["sha256"] = "0" * 64
    known.write_text(json.dumps(document))
    assert folder_index(layout).clips["b"]["raw"] == "0" * 64, "it was not read"
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert folder_index(layout) == before, "it was read, as its time differs"
    known.write_text("{")
    assert folder_index(layout) == before


def test_a_folder_that_cannot_be_written_has_a_version(layout: Layout) -> None:
    layout.run_folder().write_bytes(b"a file, so that no digests can be kept")
    assert len(folder_index(layout).version) == 64


def test_equal_datasets_do_not_differ(layout: Layout, tmp_path: Path) -> None:
    done = diff(layout.root, fill(FfppLayout(tmp_path / "other")).root)
    version = folder_index(layout).version[:12]
    assert done.exit_code == 0
    assert f"version {version}: 4 clips, 2 pairs, 4 fakes, levels c23, raw." in done.output.splitlines()[0]
    assert done.output.splitlines()[-1] == "They have the same content."


def test_each_difference_is_named_once(layout: Layout, tmp_path: Path) -> None:
    other = fill(FfppLayout(tmp_path / "other"))
    for fake in ("c_d", "d_c"):
        for path in other.root.rglob(f"{fake}.*"):
            path.unlink()
    for clip in "cd":
        for level in LEVELS:
            other.real_video(level, clip).unlink()
    assert differences(layout, other) == [
        ("removed", "clip", "c"),
        ("removed", "clip", "d"),
        ("removed", "pair", "c_d"),
    ]
    write(splits_folder(other) / "train.json", b'[["c", "d"]]')
    write(splits_folder(other) / "test.json", b'[["a-1", "b"]]')
    assert differences(layout, other)[3:] == [
        ("changed", "split", "a-1_b", "train -> test"),
        ("changed", "split", "c_d", "test -> train"),
    ]


def test_changed_files_and_labels_of_a_fake_are_told(layout: Layout, tmp_path: Path) -> None:
    other = fill(FfppLayout(tmp_path / "other"))
    write(other.fake_video("c23", "a-1_b"), b"other pixels")
    write(other.labels("a-1_b"), rows(True, True, True))
    other.mask_video("masks", "c_d").unlink()
    shifted = json.loads(rows(True, False, True))["frames"]
    write(other.labels("c_d"), json.dumps({"frames": [row | {"frame": row["frame"] + 7} for row in shifted]}).encode())
    write(other.labels("d_c"), json.dumps(json.loads(rows(True, False, True)) | {"quality": 1}).encode())
    other.fake_video("raw", "b_a-1").unlink()
    write(other.real_video("raw", "d"), b"other")
    assert differences(layout, other) == [
        ("changed", "clip", "d", "raw"),
        ("changed", "fake", "a-1_b", "c23", "labels: 1 of 3 rows, swapped or not in 1"),
        ("changed", "fake", "b_a-1", "raw removed"),
        ("changed", "fake", "c_d", "masks removed", "labels: 3 of 3 rows"),
        ("changed", "fake", "d_c", "labels: no row, but other fields"),
    ]


def test_a_level_that_is_gone_is_one_difference(layout: Layout, tmp_path: Path) -> None:
    other = fill(FfppLayout(tmp_path / "other"))
    for kind in ("c23", "masks_blend"):
        for path in other.root.rglob(f"{kind}/videos/*.mp4"):
            path.unlink()
    assert differences(other, layout) == [("added", "level", "c23"), ("added", "mask", "masks_blend")]


def test_splits_that_one_dataset_lacks_are_named(layout: Layout, tmp_path: Path) -> None:
    other = fill(FfppLayout(tmp_path / "other"))
    (splits_folder(other) / "val.json").unlink()
    assert differences(layout, other) == [("removed", "split", "val")]


def test_versions_differ_if_and_only_if_something_is_named() -> None:
    draws = random.Random(0)

    def draw() -> DatasetIndex:
        kinds = ["raw", "masks", "labels"]
        ids = ["a", "b", "c"]
        clips = {clip: {"raw": draws.choice("12")} for clip in ids if draws.random() < 0.8}
        fakes = {
            f"{a}_{b}": files
            for a, b in (("a", "b"), ("b", "a"), ("a", "c"))
            if (files := {kind: draws.choice("12") for kind in kinds if draws.random() < 0.9})
        }
        splits = {"train": [Pair("a", "b")]} if draws.random() < 0.5 else {}
        return index_of((), FfppLayout(Path()), {}) if draws.random() < 0.1 else DatasetIndex(clips, fakes, splits)

    equal = 0
    for _ in range(2000):
        first, second = (IndexedDataset("", draw(), lambda fake: rows(True)) for _ in range(2))
        found = compare(first, second).differences
        assert bool(found) == (first.index.version != second.index.version)
        equal += not found
    assert equal > 10


@pytest.mark.parametrize("words", [["nowhere/here", "nowhere/here"], ["empty", "empty"], ["no-such-name", "empty"]])
def test_what_cannot_be_compared_ends_with_2(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    done = diff(*words, "--json")
    assert done.exit_code == 2
    assert json.loads(done.output)["reason"] in ("NO_DATASET", "NO_KEYS")


def test_a_damaged_split_is_named(layout: Layout) -> None:
    write(splits_folder(layout) / "train.json", b"[1]")
    with pytest.raises(InvalidInput, match=r"train\.json"):
        folder_index(layout)
