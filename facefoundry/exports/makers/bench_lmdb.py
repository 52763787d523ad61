"""Writes the LMDB that DeepfakeBench's loader reads in place of folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

import lmdb
import numpy as np

from facefoundry.exports.makers.crops import cut_crops, cut_masks
from facefoundry.exports.makers.decoding import png

__all__ = ["Entry", "database"]

_FIRST_BYTES = 1 << 26
_GROWS_BY = 2


class Entry(TypedDict):
    """The pictures of one video of one level, or the masks of one fake.

    Attributes:
        file: The argument with the path of the video.
        alignments: The argument with the path of the alignments.
        frames: Number in the video and row in the alignments of each frame.
        pictures: What the keys of the pictures begin with. A mask is put under each.
        landmarks: What the keys of the landmarks begin with; empty for masks.
    """

    file: str
    alignments: str
    frames: list[list[int]]
    pictures: list[str]
    landmarks: str


def database(folder: str, path: str, entries: list[Entry], **files: str) -> Iterator[int]:
    """Write `data.mdb`, and yield the number of each video.

    Pictures are PNGs. Landmarks are 81 points of two int32, which the loader reads as uint32: one above or left of the
    crop is put on its edge, since a negative number would become 4 billion.

    Args:
        folder: Folder to write to.
        path: Folder of the database, below `folder`.
        entries: What to write.
        files: The paths of the videos and alignments, by the names in `entries`.

    Raises:
        Unusable: a video cannot be decoded, or has fewer frames (FRAMES).
    """
    with lmdb.open(str(Path(folder) / path), map_size=_FIRST_BYTES, lock=False) as opened:
        for number, entry in enumerate(entries):
            _put(opened, dict(_rows(entry, files)))
            yield number


def _rows(entry: Entry, files: dict[str, str]) -> Iterator[tuple[bytes, bytes]]:
    video, alignments = files[entry["file"]], files[entry["alignments"]]
    if not entry["landmarks"]:
        for number, mask in cut_masks(video, alignments, entry["frames"]):
            data = png(mask)
            yield from ((f"{start}{number:03d}.png".encode(), data) for start in entry["pictures"])
        return
    for number, crop, points in cut_crops(video, alignments, entry["frames"]):
        yield from ((f"{start}{number:03d}.png".encode(), png(crop)) for start in entry["pictures"])
        yield f"{entry['landmarks']}{number:03d}.npy".encode(), points.clip(0).astype(np.int32).tobytes()


def _put(opened: lmdb.Environment, rows: dict[bytes, bytes]) -> None:
    """Write the rows of one video, all or none; the database grows as they need."""
    while True:
        try:
            with opened.begin(write=True) as transaction:
                for key, value in sorted(rows.items()):
                    transaction.put(key, value)
            return
        except lmdb.MapFullError:
            opened.set_mapsize(opened.info()["map_size"] * _GROWS_BY)
