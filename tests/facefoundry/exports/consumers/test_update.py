"""After `--update` readers count what the dataset has now, and all other files keep their times."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import webdataset as wds
from click.testing import CliRunner

from facefoundry.cli.main import cli
from facefoundry.dataset.layout import Layout
from tests.facefoundry.exports.made import PAIRS, with_pair, without_pair

LEVELS = ("raw", "c23")


def export(layout: Layout, out: Path, *options: str) -> dict[str, int]:
    """Export, and return the times of the tars by name."""
    done = CliRunner().invoke(cli, ["export", "webdataset", str(layout.root), str(out), *options])
    assert done.exit_code == 0, done.output
    return {path.name: path.stat().st_mtime_ns for path in out.glob("*.tar")}


def counts(out: Path) -> dict[str, tuple[int, int]]:
    """Return the numbers of real videos and of fakes that webdataset finds in each split that has a tar."""
    parts = json.loads((out / "parts.json").read_bytes())
    found = {}
    for split, listed in parts.items():
        urls = [str(out / part["path"]) for part in listed]
        labels = [sample["json"]["label"] for sample in wds.WebDataset(urls, shardshuffle=False).decode()]
        found[split] = (labels.count(0), labels.count(1))
    return found


def changed(before: Mapping[str, int], after: Mapping[str, int]) -> set[str]:
    return {name for name in {*before, *after} if before.get(name) != after.get(name)}


def tars(split: str) -> set[str]:
    return {f"{split}-{level}-000000.tar" for level in LEVELS}


def test_a_pair_less_and_a_pair_more_are_counted_and_touch_their_own_tars(text_dataset: Layout, tmp_path: Path) -> None:
    out, each = tmp_path / "out", 2 * len(LEVELS)
    first = export(text_dataset, out)
    assert counts(out) == {"train": (each, each), "val": (each, each), "test": (each, each)}

    without_pair(text_dataset, PAIRS[1])
    less = export(text_dataset, out, "--update")
    assert counts(out) == {"train": (each, each), "test": (each, each)}
    assert changed(first, less) == tars("val")

    with_pair(text_dataset, ("a", "b"), "test")
    more = export(text_dataset, out, "--update")
    assert counts(out) == {"train": (each, each), "test": (2 * each, 2 * each)}
    assert changed(less, more) == tars("test")
