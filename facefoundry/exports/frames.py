"""Chooses which frames of a dataset's videos an export shows: those with a face, and of fakes the swapped ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facefoundry.exports.dataset import Dataset
from facefoundry.faces.alignments import Alignments

__all__ = ["Chosen", "Frames", "evenly"]


@dataclass(frozen=True)
class Chosen:
    """Frames of a video.

    Attributes:
        places: Their numbers in the video, ascending. All videos of a dataset may have some of the target's frames
            only, so these are not the numbers in the clip.
        rows: Their rows in the alignments of the target.
    """

    places: tuple[int, ...]
    rows: tuple[int, ...]

    def evenly(self, count: int) -> Chosen:
        """Return `count` of the frames, evenly spread from the first to the last; all if there are fewer, or for 0."""
        chosen = evenly(len(self.places), count)
        return Chosen(tuple(self.places[i] for i in chosen), tuple(self.rows[i] for i in chosen))

    def every(self, step: int) -> Chosen:
        """Return the frames whose numbers in the video are multiples of a step."""
        kept = [i for i, place in enumerate(self.places) if place % step == 0]
        return Chosen(tuple(self.places[i] for i in kept), tuple(self.rows[i] for i in kept))

    def longest_run(self, count: int) -> Chosen:
        """Return the longest run of frames without a gap, the first of them if several, and of it the first `count`."""
        start = best = 0
        length = 0
        for i in range(len(self.places)):
            if i and self.places[i] != self.places[i - 1] + 1:
                start = i
            if i + 1 - start > length:
                best, length = start, i + 1 - start
        shown = slice(best, best + min(length, count))
        return Chosen(self.places[shown], self.rows[shown])

    @property
    def pairs(self) -> list[list[int]]:
        """Number in the video and row of each frame, for the arguments of a function."""
        return [[place, row] for place, row in zip(self.places, self.rows, strict=True)]


class Frames:
    """The frames of all videos of a dataset that show a face.

    Args:
        dataset: The dataset. Its alignments are fetched.

    Attributes:
        files: The alignments of each sequence.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset, self.files = dataset, dataset.alignments()
        self._alignments = dict[str, Alignments]()

    def alignments(self, sequence: str) -> Alignments:
        """Return the alignments of a sequence.

        Raises:
            DataLoss: the file is damaged (BAD_ALIGNMENTS).
        """
        if sequence not in self._alignments:
            self._alignments[sequence] = Alignments.from_bytes(self.files[sequence].read_bytes())
        return self._alignments[sequence]

    def of(self, id_: str) -> Chosen:
        """Return the frames of a fake that are swapped, or of a real video that show its subject's face."""
        found = self.alignments(id_.partition("_")[0]).found
        fake, rows = self._dataset.fakes.get(id_), self.rows(id_)
        places = fake.labels.swapped if fake else range(len(rows))
        return _with_faces([(place, rows[place]) for place in places], found)

    def rows(self, id_: str) -> list[int]:
        """Return the row in the alignments of each frame of a video; a real video has the frames of its fakes."""
        return self._dataset.frame_numbers(id_)

    def picture_bytes(self, id_: str) -> int:
        """Return about how large a PNG of a whole frame is, bytes: a byte and a half for each pixel."""
        found = self.alignments(id_.partition("_")[0])
        return found.width * found.height * 3 // 2

    def path(self, id_: str) -> Path:
        """Return the file with the alignments of a sequence, or of a fake's target."""
        return self.files[id_.partition("_")[0]]


def evenly(total: int, count: int) -> list[int]:
    """Return `count` of the numbers below `total`, evenly spread; all if there are fewer, or for 0."""
    if count <= 0 or count >= total:
        return list(range(total))
    return [int(place) for place in np.linspace(0, total - 1, count)]


def _with_faces(pairs: Sequence[tuple[int, int]], found: NDArray[np.bool_]) -> Chosen:
    kept = [(place, row) for place, row in pairs if row < len(found) and found[row]]
    return Chosen(tuple(place for place, _ in kept), tuple(row for _, row in kept))
