"""The export of docs/extending.md, as a command on a finished dataset in any layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.layouts import GROUP
from facefoundry.errors import InvalidInput
from facefoundry.storage.store import Store
from tests.facefoundry.dataset.flat_layout import FlatLayout
from tests.facefoundry.dataset.index_export import export_index
from tests.facefoundry.dataset.made import make_dataset

FAKES = ("a_b", "b_a")


@pytest.fixture(params=[FfppLayout, FlatLayout])
def layout(request: pytest.FixtureRequest, tmp_path: Path, flat_package: None) -> Layout:
    made: Layout = request.param(tmp_path / "dataset")
    assert made.name in GROUP.names()
    return made


def test_an_export_reads_a_dataset_in_any_layout(layout: Layout, store: Store, tmp_path: Path) -> None:
    make_dataset(layout, store, tmp_path)
    out = tmp_path / "exported"
    done = CliRunner().invoke(export_index, [str(layout.root), str(out)], catch_exceptions=False)
    assert done.exit_code == 0 and done.output == f"a_b: {out}\n"
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    levels = ("raw", "c23", "c40")
    assert files == {f"{name}.json" for name in FAKES} | {f"{level}/{name}.mp4" for level in levels for name in FAKES}
    index = json.loads((out / "a_b.json").read_bytes())
    assert (index["source"], len(index["labels"]["frames"])) == ("b", 3)


@pytest.mark.parametrize("missing", ["video", "labels"])
def test_a_pair_with_a_missing_file_is_named_and_the_command_ends_with_3(
    layout: Layout, store: Store, tmp_path: Path, missing: str
) -> None:
    make_dataset(layout, store, tmp_path)
    path = layout.fake_video("c40", "b_a") if missing == "video" else layout.labels("b_a")
    path.unlink()
    done = CliRunner().invoke(export_index, [str(layout.root), str(tmp_path / "exported"), "--json"])
    assert done.exit_code == 3
    assert json.loads(done.output)["message"].startswith(f"a_b failed: Expected the file {path}.")


def test_a_folder_without_a_run_record_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(export_index, [str(tmp_path / "nothing"), str(tmp_path / "exported")])
    assert isinstance(done.exception, InvalidInput)
