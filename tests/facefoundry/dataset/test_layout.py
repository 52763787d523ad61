"""Layouts: FF++'s folders, and another layout in which the same code makes a dataset."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from facefoundry.cli.main import cli
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.layouts import GROUP, layout_of
from facefoundry.dataset.models import find_models
from facefoundry.errors import InvalidInput
from facefoundry.storage.parts import MASKS
from tests.facefoundry.dataset.flat_layout import FlatLayout
from tests.facefoundry.dataset.made import make_dataset

LEVELS = ("raw", "c23", "c40")
FLAT = {
    "real": {f"{name}-{level}.mp4" for name in "ab" for level in LEVELS},
    "fake": {f"{name}-{level}.mp4" for name in ("a_b", "b_a") for level in LEVELS},
    "extra": {f"{name}-{kind}.mp4" for name in ("a_b", "b_a") for kind in MASKS}
    | {"a_b-labels.json", "b_a-labels.json", "a-alignments.json", "b-alignments.json", "models", "faces", "run"},
}


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_dataset_is_made_in_the_folders_of_another_layout(store, tmp_path):
    out = tmp_path / "out"
    record = make_dataset(FlatLayout(out), store, tmp_path)
    assert {path.name for path in out.iterdir()} == {"real", "fake", "extra", "index.html"}
    for folder, files in FLAT.items():
        assert {path.name for path in (out / folder).iterdir()} == files
    assert (out / "fake" / "a_b-c23.mp4").read_bytes() == b"a_b c23"
    assert files_below(out / "extra" / "faces") == {f"{name}/{frame:06d}.png" for name in "ab" for frame in range(3)}
    assert (out / "index.html").read_text().count("data:image/jpeg;base64,") == 2 * 6 + 1
    (pair,) = record.load_pairs()
    assert [fake.labels for fake in pair.fakes] == [[0, 1, 1]] * 2
    assert find_models(FlatLayout(out)).models == {("a", "b"): out / "extra" / "models" / "a_b"}


def test_the_same_code_makes_the_folders_of_ffpp(store, tmp_path):
    out = tmp_path / "out"
    make_dataset(FfppLayout(out), store, tmp_path)
    fakes = out / "manipulated_sequences" / "Deepfakes"
    assert files_below(out / "original_sequences" / "youtube" / "c23" / "videos") == {"a.mp4", "b.mp4"}
    for folder in (*LEVELS, *MASKS):
        assert files_below(fakes / folder / "videos") == {"a_b.mp4", "b_a.mp4"}
    assert files_below(fakes / "labels") == {"a_b.json", "b_a.json"}
    assert {path.name for path in (fakes / "models" / "a_b").iterdir()} >= {"model.json", "weights.safetensors"}
    assert (out / "report.html").is_file() and (out / "misc" / "report" / "pairs" / "a_b.json").is_file()


@pytest.mark.parametrize("layout", [FfppLayout, FlatLayout])
def test_paths_lie_below_the_root_and_asking_for_them_makes_nothing(tmp_path, layout):
    made = layout(tmp_path / "out")
    paths = [
        made.real_video("raw", "a"),
        made.fake_video("raw", "a_b"),
        made.mask_video("masks", "a_b"),
        made.labels("a_b"),
        made.models(),
        made.faces("a"),
        made.alignments("a"),
        made.filelist(),
        made.run_folder(),
        made.report_page(),
    ]
    assert all(path.is_relative_to(tmp_path / "out") for path in paths)
    assert len(set(paths)) == len(paths)
    assert list(tmp_path.iterdir()) == []


def test_a_command_finds_the_layout_of_a_dataset_by_its_record(store, tmp_path, flat_package):
    out = tmp_path / "out"
    make_dataset(FlatLayout(out), store, tmp_path)
    (out / "index.html").unlink()
    result = CliRunner().invoke(cli, ["report", str(out)], catch_exceptions=False)
    assert result.output.strip() == str(out / "index.html")
    assert (out / "index.html").is_file() and not (out / "misc").exists()
    exported = CliRunner().invoke(cli, ["export-models", str(out), str(tmp_path / "h5")], catch_exceptions=False)
    assert "a_b" in exported.output
    with pytest.raises(InvalidInput, match=r"Expected the layout flat, in which .* was written. Received 'ffpp'"):
        layout_of(out, "ffpp")


def test_a_new_dataset_has_the_layout_that_is_chosen_or_that_of_ffpp(tmp_path, flat_package):
    assert GROUP.names() == ["ffpp", "broken", "flat"]
    assert type(layout_of(tmp_path / "out", "flat")) is FlatLayout
    assert type(layout_of(tmp_path / "out")) is type(layout_of(tmp_path / "out", "ffpp")) is FfppLayout
    with pytest.raises(
        InvalidInput, match=r"The layout 'broken' of .*FlatLayout cannot be used: expected a subclass of Layout"
    ):
        layout_of(tmp_path / "out", "broken")
    with pytest.raises(InvalidInput, match=r"Expected layout to be one of ffpp, .*Received layout='zip'"):
        layout_of(tmp_path / "out", "zip")
