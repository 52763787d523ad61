"""Draws the contact sheet of a pair: for each fake its source, its target and the fake, as large faces side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry.dataset.record import FakeRecord, PairRecord, Sample

__all__ = ["HEADER", "TILE", "sheet"]

Picture = NDArray[np.uint8]

TILE = 240
"""Width and height of a face, pixels."""
HEADER = 28
"""Height of the line with the names of the columns, pixels."""
_GAP = 16
# Width of what is shown, in widths of the box of the mask, which lies within the face.
_AROUND = 1.9


def sheet(trained: Mapping[str, tuple[PairRecord, Path]]) -> Picture:
    """Draw the contact sheet of one pair.

    Args:
        trained: The same pair as each training made it, by the training's name, with the folder that the paths of the
            record are relative to.

    Returns:
        uint8 [h, w, 3] BGR. Each fake has a block of columns: source, target, and the fake of each training. A row is a
        frame of the target. A frame that was not swapped is black.
    """
    pair, _ = next(iter(trained.values()))
    blocks = [_block(trained, index) for index in range(len(pair.fakes))]
    height = max(block.shape[0] for block in blocks)
    padded = [_padded(block, height) for block in blocks]
    return np.hstack(padded)[:, :-_GAP]


def _block(trained: Mapping[str, tuple[PairRecord, Path]], index: int) -> Picture:
    pair, folder = next(iter(trained.values()))
    fake = pair.fakes[index]
    # The other fake's target is this one's source, so its masks say where the faces of the source are.
    sources = [sample for other in pair.fakes if other.target == fake.source for sample in other.samples]
    columns = {
        f"source {fake.source}": [_face(folder, sample, "target") for sample in sources] or [_nothing()],
        f"target {fake.target}": [_face(folder, sample, "target") for sample in fake.samples],
        **{f"fake, {name}": _swaps(fake, *made, index) for name, made in trained.items()},
    }
    rows = [[column[row % len(column)] for column in columns.values()] for row in range(len(fake.samples))]
    return np.vstack([np.hstack([_title(name) for name in columns]), *map(np.hstack, rows)])


def _swaps(fake: FakeRecord, pair: PairRecord, folder: Path, index: int) -> list[Picture]:
    """Return a training's faces in the frames of `fake`'s samples."""
    made = {sample.frame: sample for sample in pair.fakes[index].samples}
    return [
        _face(folder, made[sample.frame], "swap") if sample.frame in made else _nothing() for sample in fake.samples
    ]


def _face(folder: Path, sample: Sample, view: str) -> Picture:
    """Cut the face out of a picture of a sample, by the box of the mask."""
    picture, mask = (cv2.imread(str(folder / getattr(sample, name))) for name in (view, "masks"))
    if picture is None or mask is None or not mask.any():
        return _nothing()
    left, top, width, height = cv2.boundingRect(np.asarray(mask[:, :, 0] > 127, np.uint8))
    scale = TILE / (_AROUND * max(width, height))
    centre = np.array([left + width / 2, top + height / 2])
    matrix = np.hstack([np.eye(2) * scale, (TILE / 2 - scale * centre)[:, None]])
    if scale < 1:
        picture = cv2.GaussianBlur(picture, (0, 0), 0.5 / scale)
    return np.asarray(cv2.warpAffine(picture, matrix, (TILE, TILE), flags=cv2.INTER_CUBIC), np.uint8)


def _nothing() -> Picture:
    return np.zeros((TILE, TILE, 3), np.uint8)


def _title(text: str) -> Picture:
    line = np.full((HEADER, TILE, 3), 255, np.uint8)
    return np.asarray(cv2.putText(line, text, (6, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA))


def _padded(block: Picture, height: int) -> Picture:
    """Return a block with a white gap to its right, and below it, down to a height."""
    white = (255, 255, 255)
    below = height - block.shape[0]
    return np.asarray(cv2.copyMakeBorder(block, 0, below, 0, _GAP, cv2.BORDER_CONSTANT, value=white), np.uint8)
