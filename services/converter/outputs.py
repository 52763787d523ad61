"""Outputs of a conversion: the videos of every compression level and mask, labels, samples and quality figures.

Every frame of the target that the fake keeps, swapped or not, becomes one frame of each video and one row of the
labels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from facefoundry import codec
from facefoundry.media.level import Level
from facefoundry.media.read import MediaInfo
from facefoundry.media.write import LevelsWriter, MaskWriter
from facefoundry.storage.parts import LABELS, MASKS, SAMPLES, video
from services.converter import labels
from services.converter.composite import Patch
from services.converter.functions import FakeRights, Start
from services.converter.labels import Label, Row
from services.converter.quality import Quality
from services.converter.samples import Samples

__all__ = ["Assembled", "Outputs", "content_hash"]


@dataclass(frozen=True)
class Assembled:
    """The outputs of a finished conversion.

    Attributes:
        files: Path of each file, by the name of the part that it becomes.
        content_digest: SHA-256 of the decoded frames, blend masks and labels, 64 hex digits.
        rows: The label of every frame.
        quality: The quality figures by name, as `Quality.figures` returns them.
        samples: Numbers of the frames in `samples.tar`.
    """

    files: dict[str, Path]
    content_digest: str
    rows: list[Label]
    quality: dict[str, float]
    samples: list[int]


class Outputs:
    """Writes all files of a conversion, frame by frame. It is a context manager that abandons unfinished videos."""

    def __init__(
        self,
        folder: Path,
        levels: Sequence[Level],
        info: MediaInfo,
        samples: list[int],
        *,
        control: bool = False,
        start: Start | None = None,
        rights: FakeRights | None = None,
    ) -> None:
        """Open all files.

        Args:
            folder: Folder for the files.
            levels: Compression levels.
            info: The target's size and frame rate.
            samples: Numbers of the frames that `samples.tar` should contain.
            control: Whether the conversion is a control. No mask videos are written for a control.
            start: How the training of the model began, for the labels.
            rights: The rights to the clips, for the labels.
        """
        size = (info.frame_rate, info.width, info.height)
        self._writer = LevelsWriter(folder, levels, *size)
        self._masks = {} if control else {name: MaskWriter(folder / video(name), *size) for name in MASKS}
        self._mask_files: dict[str, Path] = {}
        self._samples = Samples(folder / SAMPLES, samples)
        self._labels = folder / LABELS
        self._control, self._start, self._rights = control, start or Start(), rights or FakeRights()
        self._rows: list[Label] = []
        self._quality = Quality()
        self._content = content_hash(info)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.abandon()
        for writer in self._masks.values():
            writer.abandon()

    def write(self, target: NDArray[np.uint8], row: Row, patch: Patch | None) -> None:
        """Append a frame.

        Args:
            target: The target's decoded frame, uint8 [h, w, 3] BGR.
            row: What the conversion made of the frame.
            patch: The pixels that replace the target's; None if the frame is not swapped.
        """
        shape = target.shape
        nothing = np.zeros(shape[:2], np.uint8)
        output = target if patch is None else patch.apply(target)
        changed = nothing if patch is None else patch.changed_mask(target)
        pictures = {
            "masks": nothing if patch is None else patch.box_mask(shape),
            "masks_blend": nothing if patch is None else patch.blend_mask(shape),
            "masks_changed": changed,
        }
        self._writer.write(output)
        for name, writer in self._masks.items():
            writer.write(pictures[name])
        self._content.update(output.data)
        self._content.update(np.packbits(pictures["masks_blend"] > 0).data)
        if self._rows and row.frame != self._rows[-1].frame + 1:
            self._quality.cut()
        outside = self._quality.add(target, output, changed, patch)
        self._rows.append(Label(row.frame, row.swapped, row.reason, row.box, outside))
        if row.swapped and self._samples.wants(row.frame):
            self._samples.add(row.frame, {"target": target, "swap": output, **pictures})

    @property
    def passes(self) -> int:
        """Number of passes over the frames: 1 for small frames, one per level for large frames.

        The levels of small frames are encoded together.
        """
        return self._writer.passes

    @property
    def swapped(self) -> int:
        """Number of swapped frames so far."""
        return sum(row.swapped for row in self._rows)

    def rest(self) -> Iterator[tuple[int, int]]:
        """Finish the levels; call this after the last frame. Large frames are encoded at further levels here.

        Yields:
            (frames encoded so far in all passes, frames of all passes), as `LevelsWriter.rest` does.
        """
        self._finish_masks()
        yield from self._writer.rest()

    def close(self) -> Assembled:
        """Finish all files, and return them with the labels and figures of the fake."""
        self._finish_masks()
        files = {video(name): path for name, path in self._writer.close().items()} | self._mask_files
        quality = self._quality.figures()
        document = labels.to_json(
            self._rows, control=self._control, start=self._start, quality=quality, rights=self._rights
        )
        self._labels.write_bytes(document)
        files |= {LABELS: self._labels, SAMPLES: self._samples.close()}
        self._content.update(json.dumps([codec.to_values(row) for row in self._rows], sort_keys=True).encode())
        return Assembled(files, self._content.hexdigest(), self._rows, quality, self._samples.frames)

    def _finish_masks(self) -> None:
        for name in list(self._masks):
            self._mask_files[video(name)] = self._masks[name].close()
            del self._masks[name]


def content_hash(info: MediaInfo) -> hashlib._Hash:
    """Return a SHA-256 hash object that already contains frame size and frame rate; frames are added to it."""
    return hashlib.sha256(f"frames/1 {info.width}x{info.height} {info.frame_rate[0]}/{info.frame_rate[1]}".encode())
