"""The AUC of a detector's scores: by video and by frame, by level and split, and lines that are wrong."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sklearn.metrics import roc_auc_score

from facefoundry import archive
from facefoundry.cli.main import cli
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.errors import InvalidInput
from facefoundry.exports.dataset import Dataset, load_dataset
from facefoundry.exports.dfdc import DfdcExport, DfdcOptions
from facefoundry.exports.export import Export, Request
from facefoundry.exports.place import FolderPlace
from facefoundry.exports.plan import Copied
from facefoundry.exports.realforensics import RealForensicsExport
from facefoundry.exports.run import export_dataset
from facefoundry.exports.webdataset import WebdatasetExport
from facefoundry.exports.whole import WholeOptions
from facefoundry.planning.scoring import auc, read_scores, rows_of
from tests.facefoundry.exports.made import FRAMES, PAIRS, UNSWAPPED, load, write_dataset, write_labels

A, B = PAIRS[0]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return load_dataset(write_dataset(FfppLayout(tmp_path / "dataset"), videos=False).root)


def write(folder: Path, *lines: str) -> Path:
    path = folder / "scores.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_the_auc_is_that_of_scikit_learn() -> None:
    draws = random.Random(0)
    for _ in range(50):
        fakes = [round(draws.gauss(0.5, 1), 1) for _ in range(draws.randint(1, 40))]
        real = [round(draws.gauss(0, 1), 1) for _ in range(draws.randint(1, 40))]
        expected = roc_auc_score([1] * len(fakes) + [0] * len(real), fakes + real)
        assert auc(fakes, real) == pytest.approx(expected)
    assert auc([], [1.0]) is None and auc([1.0], []) is None


def test_frames_that_are_not_swapped_do_not_count_as_fake(dataset: Dataset, tmp_path: Path) -> None:
    lines = ["video,level,frame,score"]
    for frame in range(FRAMES):
        lines += [f"{A},c23,{frame},0.2", f"{A}_{B},c23,{frame},{0.1 if frame == UNSWAPPED else 0.9}"]
    (row, *others) = rows_of(read_scores(write(tmp_path, *lines), dataset), dataset)
    assert (row.level, row.split, row.real, row.fakes, row.missing) == ("c23", "train", 1, 1, 2)
    assert (row.by_video, row.by_frame, row.frames) == (1.0, 1.0, 2 * FRAMES - 1)
    assert [(each.split, each.by_video) for each in others] == [("val", None), ("test", None), ("all", 1.0)]


def test_videos_are_named_by_paths_which_say_the_level(dataset: Dataset, tmp_path: Path) -> None:
    layout = dataset.layout
    lines = ["video,score"]
    for level, high in (("raw", 0.9), ("c23", 0.1)):
        fake = layout.fake_video(level, f"{A}_{B}").relative_to(layout.root)
        lines += [f"{layout.real_video(level, A)},0.5", f"/elsewhere/{fake},{high}"]
    scores = read_scores(write(tmp_path, *lines), dataset)
    rows = {(row.level, row.split): row.by_video for row in rows_of(scores, dataset)}
    assert rows[("raw", "train")] == 1.0 and rows[("c23", "train")] == 0.0


def test_numbers_of_an_export_are_read_as_ids(dataset: Dataset, tmp_path: Path) -> None:
    path = write(tmp_path, "video,score", "000,0.1", "original_sequences/youtube/raw/videos/001.mp4,0.4", "001_000,0.7")
    found = read_scores(path, dataset, {"000": A, "001": B})
    assert [(score.id, score.level) for score in found] == [(A, ""), (B, "raw"), (f"{B}_{A}", "")]
    with pytest.raises(InvalidInput, match="line 2"):
        read_scores(write(tmp_path, "video,score", f"{A},0.1"), dataset, {"000": A, "001": B})


@pytest.mark.parametrize(
    ("export", "options", "levels", "shown"),
    [
        (DfdcExport(), DfdcOptions(partial=True), ("c23",), ("",)),
        (RealForensicsExport(), WholeOptions(partial=True), ("raw", "c23"), ("raw", "c23")),
    ],
)
def test_videos_of_an_export_are_named_by_paths_that_may_say_the_level(
    tmp_path: Path, export: Export[Any], options: Any, levels: tuple[str, ...], shown: tuple[str, ...]
) -> None:
    dataset = load(write_dataset(FfppLayout(tmp_path / "dataset"), videos=False), tmp_path)
    plan = export.plan(dataset, Request(levels, options))
    videos = [item.path for item in plan.items if isinstance(item, Copied)]
    names = {name: id_ for id_, name in plan.numbers.items()}
    found = read_scores(
        write(tmp_path, "video,score", *(f"/elsewhere/{video},0.5" for video in videos)), dataset, names
    )
    assert {(score.level, score.id) for score in found} == {(level, id_) for level in shown for id_ in dataset.ids}
    assert len(found) == len(shown) * len(dataset.ids)


def test_samples_of_a_webdataset_are_named_by_their_keys(dataset: Dataset, tmp_path: Path) -> None:
    export_dataset(WebdatasetExport(), dataset, FolderPlace(tmp_path / "out"), processes=1)
    tars = (archive.unpack(path.read_bytes()) for path in (tmp_path / "out").glob("*.tar"))
    keys = {name.partition(".")[0] for files in tars for name in files}
    found = read_scores(write(tmp_path, "video,score", *(f"{key},0.5" for key in keys)), dataset)
    assert {(score.level, score.id) for score in found} == {
        (level, id_) for level in dataset.levels for id_ in dataset.ids
    }


@pytest.mark.parametrize(
    ("video", "level"),
    [("000_001.avi", ""), ("Deepfakes/c0/cropped_mouths/000_001", "raw"), ("c23/FaceForensics++/part/000_001.mp4", "")],
)
def test_names_of_lists_and_folders_of_pictures_are_read(
    dataset: Dataset, tmp_path: Path, video: str, level: str
) -> None:
    (found,) = read_scores(write(tmp_path, "video,score", f"{video},0.1"), dataset, {"000": A, "001": B})
    assert (found.id, found.level) == (f"{A}_{B}", level)


@pytest.mark.parametrize("video", ["Deepfakes/c23/images/000_001/000.png", "other/002.mp4", "c40-000"])
def test_pictures_and_unknown_names_are_no_videos(dataset: Dataset, tmp_path: Path, video: str) -> None:
    with pytest.raises(InvalidInput, match="line 2: expected the id or the path"):
        read_scores(write(tmp_path, "video,score", f"{video},0.1"), dataset, {"000": A, "001": B})


def test_videos_that_the_dataset_leaves_out_are_not_counted(tmp_path: Path) -> None:
    layout = write_dataset(FfppLayout(tmp_path / "dataset"), videos=False)
    write_labels(layout, f"{B}_{A}", [])
    dataset = load_dataset(layout.root)
    scores = write(tmp_path, "video,score", f"{A},0.1", f"{A}_{B},0.9", f"{B}_{A},0.0")
    (row, *_) = rows_of(read_scores(scores, dataset), dataset)
    assert (row.fakes, row.by_video) == (1, 1.0)
    done = CliRunner().invoke(cli, ["auc", str(scores), str(layout.root)], catch_exceptions=False)
    assert f"Not counted: 1 videos that the dataset leaves out, such as {B}_{A}." in done.output


def test_the_level_raw_may_be_called_c0(dataset: Dataset, tmp_path: Path) -> None:
    path = write(tmp_path, "video,score", "original_sequences/youtube/c0/videos/000.mp4,0.4")
    assert read_scores(path, dataset, {"000": A})[0].level == "raw"
    assert read_scores(write(tmp_path, "video,level,score", f"{A},c0,0.4"), dataset)[0].level == "raw"


def test_a_file_of_excel_is_read(dataset: Dataset, tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeffvideo,score", f"{A},0.4")
    assert read_scores(path, dataset)[0].id == A


def test_a_folder_without_an_export_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    scores, root = write(tmp_path, "video,score", f"{A},0.4"), str(dataset.layout.root)
    done = CliRunner().invoke(cli, ["auc", str(scores), root, "--export", root])
    assert isinstance(done.exception, InvalidInput) and done.exception.reason == "EXPORT"


@pytest.mark.parametrize("source", ["labels", "recipe"])
def test_videos_of_some_frames_have_no_others(tmp_path: Path, source: str) -> None:
    layout = write_dataset(FfppLayout(tmp_path / "dataset"), videos=False)
    for fake in (f"{A}_{B}", f"{B}_{A}"):
        write_labels(layout, fake, [4, 5], [4, 5, 6])
    if source == "recipe":
        layout.labels(f"{A}_{B}").unlink()
        run = RunFolder(layout.run_folder())
        record = run.load_run()
        record.recipe["conversion"] = {"discard": True, "frame_ranges": [{"first": 4, "last": 6}]}
        run.save_run(record)
    dataset = load_dataset(layout.root)
    assert dataset.frame_numbers(A) == dataset.frame_numbers(f"{B}_{A}") == [4, 5, 6]
    with pytest.raises(InvalidInput, match=f"a frame from 0 to 2 of {A}"):
        read_scores(write(tmp_path, "video,frame,score", f"{A},3,0.5"), dataset)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["path,score", "crawford,1"], "line 1: expected the columns video and score"),
        (["video,score"], "line 2: expected at least one score"),
        (["video,score", "crawford,1", "nobody,1"], "line 3: expected the id or the path of a video of made"),
        (["video,score", "crawford,high"], "line 2: expected a number as score. Received 'high'"),
        (["video,score", "crawford,nan"], "line 2: expected a number as score. Received 'nan'"),
        (["video,score", "crawford,1", "crawford,2"], "line 3: expected each video and frame once"),
        (["video,frame,score", f"crawford,{FRAMES},1"], f"line 2: expected a frame from 0 to {FRAMES - 1}"),
        (["video,level,score", "crawford,c40,1"], "line 2: expected a level of raw, c23"),
        (["video,frame,score", "crawford,1,1", "raw,,1"], "a frame in every line"),
    ],
)
def test_a_wrong_line_is_named(dataset: Dataset, tmp_path: Path, lines: list[str], expected: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_scores(write(tmp_path, *lines), dataset)
    assert expected in caught.value.message and caught.value.reason == "SCORES"


def test_the_command_prints_a_row_for_each_level_and_split(dataset: Dataset, tmp_path: Path) -> None:
    scores = write(
        tmp_path, "video,level,score", f"{A},raw,0.1", f"{A}_{B},raw,0.8", "1000,raw,0.4", "1000_1001,raw,0.3"
    )
    words = ["auc", str(scores), str(dataset.layout.root)]
    table = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert table.exit_code == 0 and "AUC by video" in table.output and "preview" in table.output
    rows = [json.loads(line) for line in CliRunner().invoke(cli, [*words, "--json"]).output.splitlines()]
    assert [(row["split"], row["by_video"]) for row in rows] == [
        ("train", 1.0),
        ("val", 0.0),
        ("test", None),
        ("all", 0.75),
    ]
