"""webdataset reads a first batch of videos with labels."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import webdataset as wds

from facefoundry.dataset.file_digests import sha256_of
from tests.facefoundry.exports.consumers.test_tables import FAKES, LEVELS
from tests.facefoundry.exports.made import FRAMES, PAIRS, SPLITS, UNSWAPPED

PAGE = (Path(__file__).parents[4] / "docs" / "formats.md").read_text(encoding="utf-8")


def urls(folder: Path, split: str, level: str) -> list[str]:
    parts = json.loads((folder / "parts.json").read_bytes())[split]
    return [str(folder / part["path"]) for part in parts if part["level"] == level]


def test_a_first_batch_has_videos_and_labels(webdataset: Path) -> None:
    dataset = (
        wds.WebDataset(urls(webdataset, "train", "c23"), shardshuffle=False)
        .decode()
        .to_tuple("__key__", "mp4", "json")
        .batched(4)
    )
    keys, videos, facts = next(iter(dataset))
    a, b = PAIRS[0]
    assert keys == [f"c23-{id_}" for id_ in (a, b, f"{a}_{b}", f"{b}_{a}")]
    assert [each["label"] for each in facts] == [0, 0, 1, 1]
    assert all(video[4:8] == b"ftyp" for video in videos)
    assert facts[2]["swapped"] == [frame for frame in range(FRAMES) if frame != UNSWAPPED]


def test_every_sample_is_in_one_split_once(webdataset: Path) -> None:
    found = []
    for split, pairs in SPLITS.items():
        for level in LEVELS:
            samples = list(wds.WebDataset(urls(webdataset, split, level), shardshuffle=False).decode())
            ids = {sample["json"]["id"] for sample in samples}
            assert ids == {id_ for a, b in pairs for id_ in (a, b, f"{a}_{b}", f"{b}_{a}")}
            assert {sample["json"]["split"] for sample in samples} == {split}
            found += [(level, sample["json"]["id"], "masks.mp4" in sample) for sample in samples]
    assert len(found) == len(set(found)) and all(with_mask == (id_ in FAKES) for _, id_, with_mask in found)


def test_samples_have_the_bytes_of_the_dataset(webdataset: Path, croissant: Path, tmp_path: Path) -> None:
    (sample, *_) = wds.WebDataset(urls(webdataset, "test", "raw"), shardshuffle=False)
    path = tmp_path / "video.mp4"
    path.write_bytes(sample["mp4"])
    real = croissant / "original_sequences/youtube/raw/videos"
    assert sha256_of(path) == sha256_of(real / f"{sample['__key__'].removeprefix('raw-')}.mp4")


def test_the_lines_of_the_page_read_a_split(webdataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (lines,) = re.findall(r"^```python\n(import json.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    given = lines.replace('Path("WEBDATASET")', f"Path({str(webdataset)!r})")
    assert given != lines
    exec(given, {})
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    a, b = PAIRS[0]
    assert [(words[0], words[-1]) for words in printed] == [
        (f"c23-{a}", "0"),
        (f"c23-{b}", "0"),
        (f"c23-{a}_{b}", "1"),
        (f"c23-{b}_{a}", "1"),
    ]
