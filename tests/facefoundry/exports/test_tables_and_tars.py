"""The exports `parquet`, `croissant` and `webdataset`: what they write and refuse. Real readers are in `consumers`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import cast

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from facefoundry import archive
from facefoundry.cli.main import cli
from facefoundry.codec import JsonObject
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.version_places import folder_index
from facefoundry.errors import InvalidInput
from facefoundry.exports.croissant import CroissantExport, CroissantOptions
from facefoundry.exports.dataset import load_dataset
from facefoundry.exports.makers.arrow import write_frames
from facefoundry.exports.parquet import ParquetExport, ParquetOptions, table_of
from facefoundry.exports.place import FolderPlace
from facefoundry.exports.run import Exported, export_dataset
from facefoundry.exports.webdataset import WebdatasetExport, WebdatasetOptions
from tests.facefoundry.exports.made import PAIRS, landmarks, load, write_dataset, write_labels

TABLES = {"metadata.parquet", "frames.parquet", "export.json"}


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tars(layout: Layout, out: Path, *, update: bool = False, options: WebdatasetOptions | None = None) -> Exported:
    place = FolderPlace(out)
    return export_dataset(
        WebdatasetExport(), load_dataset(layout.root), place, options=options, update=update, processes=1
    )


def test_tables_alone_need_neither_videos_nor_landmarks(text_dataset: Layout, tmp_path: Path) -> None:
    options = ParquetOptions(tables_only=True, no_landmarks=True)
    dataset = load_dataset(text_dataset.root)
    exported = export_dataset(ParquetExport(), dataset, FolderPlace(tmp_path / "out"), options=options, processes=1)
    assert not exported.failed and set(files(tmp_path / "out")) == TABLES
    assert exported.record.dataset_version == folder_index(text_dataset).version
    whole = load_dataset(text_dataset.root, version="f" * 64)
    assert whole.version == "f" * 64, "of a dataset that was fetched in part"


def test_the_installed_command_writes_tables_from_any_folder(text_dataset: Layout, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("facefoundry")), "export", "parquet", str(text_dataset.root), "out"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [*command, "--tables-only", "--no-landmarks"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert set(files(tmp_path / "out")) == TABLES


def test_real_videos_have_the_frames_of_their_fakes(text_dataset: Layout, tmp_path: Path) -> None:
    a, b = PAIRS[0]
    for fake in (f"{a}_{b}", f"{b}_{a}"):
        write_labels(text_dataset, fake, [4, 5], [4, 5, 6])
    table = table_of(load(text_dataset, tmp_path), ("c23",), landmarks=True)
    videos, sequences = (cast("list[JsonObject]", listed) for listed in (table.videos, table.sequences))
    assert {video["frames"] for video in videos if video["video_id"] in (a, f"{a}_{b}")} == {3}
    sources = {name: str(path) for name, path in table.sources.items()}
    assert [*write_frames(tmp_path / "frames.parquet", sequences, sources)] == [None] * len(sequences)
    rows = pq.read_table(tmp_path / "frames.parquet").to_pylist()
    assert [(row["frame"], row["landmarks"]) for row in rows if row["video_id"] == a] == [
        (place, landmarks(frame).tolist()) for place, frame in enumerate((4, 5, 6))
    ]


def test_equal_datasets_have_equal_tables(text_dataset: Layout, tmp_path: Path) -> None:
    options = ParquetOptions(no_landmarks=True)
    for name in ("first", "second"):
        dataset = load_dataset(text_dataset.root)
        export_dataset(ParquetExport(), dataset, FolderPlace(tmp_path / name), options=options, processes=1)
    assert files(tmp_path / "first") == files(tmp_path / "second")


@pytest.mark.parametrize("missing", ["license", "creator", "url"])
def test_croissant_refuses_what_its_readers_require(text_dataset: Layout, tmp_path: Path, missing: str) -> None:
    given = {"license": "CC0-1.0", "creator": "Tests", "url": "https://example.org"} | {missing: ""}
    with pytest.raises(InvalidInput, match=f"Expected --{missing}"):
        export_dataset(
            CroissantExport(),
            load_dataset(text_dataset.root),
            FolderPlace(tmp_path / "out"),
            options=CroissantOptions(license=given["license"], creator=given["creator"], url=given["url"]),
        )
    assert not (tmp_path / "out").exists()


def test_the_help_shows_no_empty_default() -> None:
    shown = CliRunner().invoke(cli, ["export", "croissant", "--help"]).output
    assert '""' not in shown and shown.count("counts]") == 1


def test_a_sample_has_a_video_and_its_label(text_dataset: Layout, tmp_path: Path) -> None:
    tars(text_dataset, tmp_path / "out")
    index = json.loads((tmp_path / "out" / "parts.json").read_bytes())
    assert index["train"] == [
        {"path": "train-raw-000000.tar", "level": "raw", "samples": 4},
        {"path": "train-c23-000000.tar", "level": "c23", "samples": 4},
    ]
    found = archive.unpack((tmp_path / "out" / "train-c23-000000.tar").read_bytes())
    a, b = PAIRS[0]
    assert [*found] == [f"c23-{id_}.{suffix}" for id_ in (a, b, f"{a}_{b}", f"{b}_{a}") for suffix in ("json", "mp4")]
    assert found[f"c23-{a}_{b}.mp4"] == f"{a}_{b} c23".encode()
    facts = json.loads(found[f"c23-{a}_{b}.json"])
    assert (facts["label"], facts["target"], facts["source"], facts["split"]) == (1, a, b, "train")
    assert json.loads(found[f"c23-{a}.json"])["label"] == 0


def test_tars_are_full_at_a_size_and_an_update_touches_only_others(tmp_path: Path) -> None:
    layout = write_dataset(_layout(tmp_path), splits={"train": PAIRS, "val": [], "test": []}, videos=False)
    for a, b in PAIRS:
        layout.fake_video("raw", f"{a}_{b}").write_bytes(bytes(600_000))
    out, options = tmp_path / "out", WebdatasetOptions(part_mb=1)
    tars(layout, out, options=options)
    before = files(out)
    names = [f"train-{level}-{number:06d}.tar" for level, count in (("raw", 3), ("c23", 1)) for number in range(count)]
    assert sorted(before) == sorted([*names, "parts.json", "export.json"])
    again = tars(layout, tmp_path / "again", options=options)
    assert files(tmp_path / "again") == before and again.found == 0
    times = {name: (out / name).stat().st_mtime_ns for name in names}
    layout.fake_video("raw", "_".join(PAIRS[2])).write_bytes(b"another video")
    tars(layout, out, options=options, update=True)
    changed = {name for name in names if not (out / name).exists() or (out / name).stat().st_mtime_ns != times[name]}
    assert changed == {"train-raw-000001.tar", "train-raw-000002.tar"}, "the last two pairs now fit into one"


def test_an_id_that_is_too_long_for_a_tar_is_refused(tmp_path: Path) -> None:
    layout = write_dataset(_layout(tmp_path), pairs=[("a" * 60, "b" * 60)], splits={}, videos=False)
    with pytest.raises(InvalidInput) as caught:
        tars(layout, tmp_path / "out")
    assert caught.value.reason == "LONG_ID"


def _layout(folder: Path) -> Layout:
    return FfppLayout(folder / "dataset")
