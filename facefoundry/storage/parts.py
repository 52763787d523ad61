"""Names of parts, the objects of stored prefixes."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = [
    "ALIGNMENTS",
    "ALIGNMENTS_OF_FACES",
    "CHUNKS",
    "FACES",
    "FRAMES",
    "LABELS",
    "MASKS",
    "RAW",
    "SAMPLES",
    "SOURCE",
    "WEIGHTS",
    "Numbered",
    "video",
]


@dataclass(frozen=True)
class Numbered:
    """Parts of one kind, numbered from 0: `<stem>-<number:05d><suffix>`."""

    stem: str
    suffix: str

    def name(self, number: int) -> str:
        """Return the name of one of these parts."""
        return f"{self.stem}-{number:05d}{self.suffix}"

    def matches(self, name: str) -> bool:
        """Whether a name is that of one of these parts."""
        return re.fullmatch(rf"{re.escape(self.stem)}-[0-9]{{5}}{re.escape(self.suffix)}", name) is not None


SOURCE = "source"
"""The video of a source, before its suffix."""

FRAMES = Numbered("frames", ".tar")
"""The frames of a source that is no video."""

FACES = Numbered("faces", ".tar")
"""The face crops of an extraction, a number of frames in each part."""

ALIGNMENTS_OF_FACES = Numbered("alignments", ".safetensors")
"""The alignments of the same frames as the part of faces with that number."""

ALIGNMENTS = "alignments.safetensors"
"""The alignments of all frames of an extraction."""

WEIGHTS = "weights.safetensors"
"""The networks of a model."""

CHUNKS = Numbered("chunk", ".tar")
"""The converted frames of a conversion, a number of frames in each part."""

LABELS = "labels.json"
"""One row for every frame of a conversion."""

SAMPLES = "samples.tar"
"""Small pictures of an extraction or a conversion, for people."""

MASKS = ("masks", "masks_blend", "masks_changed")
"""The mask videos: FF++'s box; where the soft mask is above 0; where the raw fake differs from the decoded target."""


def video(name: str) -> str:
    """Return the name of the video of a compression level or of a mask."""
    return f"{name}.mp4"


RAW = video("raw")
"""The lossless video of a conversion or a transcoding."""
