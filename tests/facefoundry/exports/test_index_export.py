"""The export of docs/extending.md, of another package, on datasets in any layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner

from facefoundry.cli.main import cli
from facefoundry.codec import JsonObject
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.layouts import GROUP as LAYOUTS
from facefoundry.errors import InvalidInput
from facefoundry.exports.dataset import load_dataset
from facefoundry.exports.export import Request
from facefoundry.exports.formats import GROUP
from facefoundry.exports.parquet import ParquetExport, ParquetOptions
from facefoundry.exports.place import FolderPlace
from facefoundry.exports.plan import Made
from facefoundry.exports.run import export_dataset
from tests.facefoundry.dataset.flat_layout import FlatLayout
from tests.facefoundry.exports.index_export import IndexExport, IndexOptions
from tests.facefoundry.exports.made import FAKE, FRAMES, PAIRS, write_dataset

FAKES = {f"{a}_{b}" for pair in PAIRS for a, b in (pair, pair[::-1])}


@pytest.fixture
def index_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installs a package that adds the export `index`, a broken one, and the layout `flat`."""
    facts = tmp_path / "site" / "index-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: index\nVersion: 1.0\n")
    value = f"{IndexExport.__module__}:IndexExport"
    layout = f"[{LAYOUTS.name}]\nflat = {FlatLayout.__module__}:FlatLayout\n"
    (facts / "entry_points.txt").write_text(f"[{GROUP.name}]\nindex = {value}\nother = {value}\n{layout}")
    monkeypatch.syspath_prepend(facts.parent)


@pytest.mark.parametrize("kind", [FfppLayout, FlatLayout])
def test_an_export_reads_a_dataset_in_any_layout(kind: type[Layout], index_package: None, tmp_path: Path) -> None:
    layout = write_dataset(kind(tmp_path / "dataset"), videos=False)
    out = tmp_path / "out"
    export_dataset(IndexExport(), load_dataset(layout.root), FolderPlace(out), levels=["raw"])
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert files == {"index.json", "export.json"} | {f"raw/{name}.mp4" for name in FAKES}
    index = json.loads((out / "index.json").read_bytes())
    assert index["1001_1000"] == {"split": "val", "swapped": [0, 1, 2, 4, 5, 6, 7, 8]}


def test_tables_alone_name_the_videos_of_the_layout(index_package: None, tmp_path: Path) -> None:
    layout = write_dataset(FlatLayout(tmp_path / "dataset"), videos=False)
    options = ParquetOptions(tables_only=True, no_landmarks=True)
    plan = ParquetExport().plan(load_dataset(layout.root), Request(("c23",), options))
    items = [item for item in plan.items if isinstance(item, Made)]
    assert len(items) == len(plan.items) == 2
    videos = cast("list[JsonObject]", items[0].arguments["videos"])
    assert len(videos) == 12 and all((layout.root / str(video["file_name"])).is_file() for video in videos)
    assert all((layout.root / str(video["mask_path"])).is_file() for video in videos if video["label"])


def test_functions_run_in_sandboxes_and_one_failure_leaves_the_others(dataset_copy: Layout, tmp_path: Path) -> None:
    dataset_copy.fake_video("raw", "1000_1001").write_bytes(b"no video")
    out = tmp_path / "out"
    dataset = load_dataset(dataset_copy.root)
    done = export_dataset(
        IndexExport(), dataset, FolderPlace(out), levels=["raw"], options=IndexOptions(colours=True), processes=2
    )
    assert len(done.failed) == 1 and done.failed[0].startswith("raw/1000_1001.json: ")
    assert not done.record.complete
    means = json.loads((out / "raw" / "raw_mask-7.json").read_bytes())
    assert [mean[2] for mean in means] == [FAKE + frame for frame in range(FRAMES)]


def test_a_package_adds_a_command_with_its_options(index_package: None, tmp_path: Path) -> None:
    layout = write_dataset(FfppLayout(tmp_path / "dataset"), videos=False)
    listed = CliRunner().invoke(cli, ["export", "--help"])
    assert "fakes with a JSON index of their labels" in listed.output and "Cannot be used." in listed.output
    assert "--colours" in CliRunner().invoke(cli, ["export", "index", "--help"]).output
    done = CliRunner().invoke(cli, ["export", "index", str(layout.root), str(tmp_path / "out"), "--levels", "c23"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "c23" / "raw_mask-7.mp4").is_file()
    broken = CliRunner().invoke(cli, ["export", "other", "a", "b"])
    assert isinstance(broken.exception, InvalidInput) and broken.exception.reason == "EXPORT_BROKEN"


def test_a_folder_without_a_run_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_dataset(tmp_path / "nothing")
    assert caught.value.reason == "NO_RUN"
