"""The names of parts. A part is one object of a stored result."""

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
    """The names of numbered parts of one kind: `<stem>-<number><suffix>`, with five digits, from 00000."""

    stem: str
    suffix: str

    def name(self, number: int) -> str:
        """Return the name of the part with a number."""
        return f"{self.stem}-{number:05d}{self.suffix}"

    def matches(self, name: str) -> bool:
        """Return whether a name belongs to a part of this kind."""
        return re.fullmatch(rf"{re.escape(self.stem)}-[0-9]{{5}}{re.escape(self.suffix)}", name) is not None


SOURCE = "source"
"""Name, without suffix, of the part that is the video file of a source."""

FRAMES = Numbered("frames", ".tar")
"""The frames of a source that is a folder of frames."""

FACES = Numbered("faces", ".tar")
"""The face crops of an extraction; each part holds those of consecutive frames."""

ALIGNMENTS_OF_FACES = Numbered("alignments", ".safetensors")
"""The alignments of an extraction; each part is for the same frames as the part of `FACES` with its number."""

ALIGNMENTS = "alignments.safetensors"
"""The alignments of all frames of an extraction."""

WEIGHTS = "weights.safetensors"
"""The networks of a model."""

CHUNKS = Numbered("chunk", ".tar")
"""The converted frames of a conversion; each part holds consecutive frames."""

LABELS = "labels.json"
"""The labels of a conversion: for every frame, whether it is swapped, and the reason if not."""

LABELS_FORMAT = "facefoundry.labels/1"
"""The format of the file `LABELS`."""

SAMPLES = "samples.tar"
"""Small pictures of some frames of an extraction or a conversion, for the report."""

MASKS = ("masks", "masks_blend", "masks_changed")
"""The mask videos: FF++'s box; where the soft mask is above 0; where the raw fake differs from the decoded target."""


def video(name: str) -> str:
    """Return the name of the part with the video of a compression level or of a mask."""
    return f"{name}.mp4"


RAW = video("raw")
"""The lossless video of a conversion or a transcoding."""
