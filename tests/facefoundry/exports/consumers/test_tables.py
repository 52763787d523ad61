"""pyarrow, pandas, polars and Hugging Face datasets read the tables: ids are text, and labels those of frames."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facefoundry.dataset.file_digests import sha256_of
from tests.facefoundry.exports.made import BOX, FRAMES, PAIRS, SPLITS, UNSWAPPED, landmarks

if TYPE_CHECKING:
    from datasets import Dataset

FAKES = {f"{a}_{b}" for pair in PAIRS for a, b in (pair, pair[::-1])}
CLIPS = {clip for pair in PAIRS for clip in pair}
IDS = CLIPS | FAKES
LEVELS = ("raw", "c23")
PAGE = (Path(__file__).parents[4] / "docs" / "formats.md").read_text(encoding="utf-8")


def test_pyarrow_reads_a_row_for_each_video(croissant: Path) -> None:
    rows = pq.read_table(croissant / "metadata.parquet").to_pylist()
    assert {(row["video_id"], row["compression"]) for row in rows} == {(id_, level) for id_ in IDS for level in LEVELS}
    assert len(rows) == len(IDS) * len(LEVELS)
    split_of = {clip: split for split, pairs in SPLITS.items() for pair in pairs for clip in pair}
    for row in rows:
        fake = row["video_id"] in FAKES
        target, _, source = row["video_id"].partition("_")
        assert (row["label"], row["method"]) == (int(fake), "Deepfakes" if fake else None)
        assert (row["target"], row["source"]) == ((target, source) if fake else (None, None))
        assert row["split"] == split_of[target]
        path = croissant / row["file_name"]
        assert (row["bytes"], row["sha256"]) == (path.stat().st_size, sha256_of(path))
        assert (row["frames"], row["swapped_frames"]) == (FRAMES, FRAMES - 1 if fake else 0)
        assert (row["width"], row["height"], row["fps"]) == (160, 120, 25.0)
        assert (row["mask_path"] is not None) == fake and (not fake or (croissant / row["mask_path"]).is_file())


def test_pyarrow_reads_a_row_for_each_frame(croissant: Path) -> None:
    table = pq.read_table(croissant / "frames.parquet")
    assert table.schema.field("landmarks").type == pa.list_(pa.list_(pa.float32(), 2), 68)
    rows = table.to_pylist()
    assert [(row["video_id"], row["frame"]) for row in rows if row["video_id"] == "raw"] == [
        ("raw", frame) for frame in range(FRAMES)
    ]
    assert len(rows) == len(IDS) * FRAMES
    for row in rows:
        fake, found = row["video_id"] in FAKES, row["frame"] != UNSWAPPED
        assert row["swapped"] is (fake and found), "an unswapped frame is never fake"
        assert row["reason"] == ("NO_FACE" if fake and not found else None)
        assert row["box"] == ([float(side) for side in BOX] if fake and found else None)
        assert row["landmarks"] == (landmarks(row["frame"]).tolist() if found else None)


def test_ids_are_text_in_pandas_polars_and_pyarrow(croissant: Path) -> None:
    path = croissant / "metadata.parquet"
    found = (
        pd.read_parquet(path)["video_id"].tolist(),
        pl.read_parquet(path)["video_id"].to_list(),
        pq.read_table(path)["video_id"].to_pylist(),
    )
    assert {"1000", "1000_1001", "raw"} <= set(found[0]) == IDS
    assert found[0] == found[1] == found[2]


def test_pandas_and_polars_join_frames_with_videos(croissant: Path) -> None:
    videos, frames = (croissant / f"{name}.parquet" for name in ("metadata", "frames"))
    joined = pd.read_parquet(videos).merge(pd.read_parquet(frames, columns=["video_id", "swapped"]), on="video_id")
    shares = pl.read_parquet(frames).group_by("video_id").agg(pl.col("swapped").mean())
    assert len(joined) == len(IDS) * len(LEVELS) * FRAMES
    assert math.isclose(joined[joined.label == 1].swapped.mean(), (FRAMES - 1) / FRAMES)
    assert {row["video_id"]: row["swapped"] > 0 for row in shares.to_dicts()} == {id_: id_ in FAKES for id_ in IDS}


def test_the_lines_of_the_page_choose_a_split(croissant: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (lines,) = re.findall(r"^```python\n(from datasets .*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    given = lines.replace('data_dir="PARQUET"', f"data_dir={str(croissant)!r}, cache_dir={str(tmp_path)!r}")
    assert given != lines
    found: dict[str, Dataset] = {}
    exec(given, found)
    assert found["videos"].num_rows == 4 * len(LEVELS)
    assert set(found["videos"]["split"]) == {"train"}


def test_videofolder_of_datasets_has_every_video_with_its_label(
    croissant: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import Video, load_dataset

    loaded = load_dataset("videofolder", data_dir=str(croissant), cache_dir=str(tmp_path), split="train")
    loaded = loaded.cast_column("video", Video(decode=False))
    found = {Path(row["video"]["path"]).relative_to(croissant).as_posix(): row for row in loaded}
    assert len(found) == len(loaded) == len(IDS) * len(LEVELS), "no masks"
    for name, row in found.items():
        assert row["label"] == int(name.startswith("manipulated_sequences/"))
        assert (Path(name).stem, name.split("/")[2]) == (row["video_id"], row["compression"])
