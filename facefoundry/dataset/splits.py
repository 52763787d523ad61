"""The splits of a dataset, as FF++ has them: their names, and where a dataset has the pairs of each."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from facefoundry.dataset.layout import Layout

__all__ = ["SPLITS", "Split", "split_files", "splits_folder"]

Split = Literal["train", "val", "test"]
SPLITS: Final[tuple[Split, ...]] = ("train", "val", "test")


def splits_folder(layout: Layout) -> Path:
    """Return the folder of the files of the splits, beside the filelist."""
    return layout.filelist().parent / "splits"


def split_files(layout: Layout) -> dict[Split, Path]:
    """Return the path of the filelist of each split. A dataset without splits has none of these files."""
    return {name: splits_folder(layout) / f"{name}.json" for name in SPLITS}
