"""Labels: one row for every frame of a fake, and the file `labels.json` that holds the rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from facefoundry import codec
from facefoundry.storage.parts import LABELS_FORMAT
from services.converter.functions import FakeRights, Start
from services.converter.mask import Box

__all__ = ["OUT_OF_RANGE", "Label", "Labels", "Row", "to_json", "unswapped"]

OUT_OF_RANGE = "OUT_OF_RANGE"
"""Why a frame is not swapped: it is outside the recipe's frame ranges."""


@dataclass(frozen=True)
class Row:
    """What a conversion made of one frame.

    Attributes:
        frame: Number of the frame in the target, from 0.
        swapped: Whether the frame carries the converted face.
        reason: Why the frame is not swapped, in UPPER_SNAKE; None if it is swapped.
        box: The box of the mask; None if the frame is not swapped.
    """

    frame: int
    swapped: bool
    reason: str | None = None
    box: Box | None = None

    def __post_init__(self) -> None:
        """Check that a swapped frame has a box and no reason, and any other frame a reason and no box.

        Raises:
            ValueError: a swapped frame has no box or has a reason, or any other frame has a box or no reason.
        """
        if self.swapped != (self.box is not None) or self.swapped != (self.reason is None):
            raise ValueError(f"expected a box in row {self.frame} if it is swapped, and a reason if not")


@dataclass(frozen=True)
class Label(Row):
    """The label of one frame, a row of `labels.json`.

    Attributes:
        changed_outside: Number of pixels that differ from the target and lie outside the box or on its outermost rows
            and columns. Always 0 if `conversion.clone` is `opencv-3.4.1`, which changes only pixels further inside.
    """

    changed_outside: int = 0


@dataclass(frozen=True)
class Labels:
    """The file `labels.json`.

    Attributes:
        format: `LABELS_FORMAT`.
        synthetic: Whether the video is a fake; always true. Loaders of datasets read it.
        control: Whether the faces come from the decoder of the target's own side (a control, not a swap).
        frame_count: Number of frames.
        swapped_count: Number of frames that carry the converted face.
        changed_outside: Sum of `changed_outside` over the rows.
        frames: The rows, in the order of the frames.
        base_digest: Content digest of the base from which the model's training started; missing if there was none.
        common_iterations: Iterations of the training with one common decoder; missing if there were none.
        quality: What was measured of the fake while it was made, by name.
        target_rights: SHA-256 of the record of the rights to the target when the fake was made; or `unstated`.
        source_rights: The same of the sequence that gives the face.
    """

    format: str
    synthetic: bool
    control: bool
    frame_count: int
    swapped_count: int
    changed_outside: int
    frames: list[Label]
    base_digest: str | None = None
    common_iterations: int | None = None
    quality: dict[str, float] = field(default_factory=dict)
    target_rights: str = "unstated"
    source_rights: str = "unstated"


def to_json(
    rows: Sequence[Label], *, control: bool, start: Start, quality: Mapping[str, float], rights: FakeRights
) -> bytes:
    """Return the bytes of `labels.json`.

    Args:
        rows: The label of every frame that is written, in order.
        control: Whether the faces come from the decoder of the target's own side (a control, not a swap).
        start: How the training of the model began.
        quality: What was measured of the fake, by name.
        rights: The rights to its clips.
    """
    swapped = sum(row.swapped for row in rows)
    outside = sum(row.changed_outside for row in rows)
    made = Labels(LABELS_FORMAT, True, control, len(rows), swapped, outside, list(rows), quality=dict(quality))
    labels = {**codec.to_values(made), **codec.to_values(rights)}
    for name, value in codec.to_values(start).items():
        if value:
            labels[name] = value
        else:
            del labels[name]
    return json.dumps(labels, separators=(",", ":"), sort_keys=True).encode()


def unswapped(rows: Sequence[Row]) -> dict[str, int]:
    """Count the frames that were not swapped, by reason; the reasons are sorted alphabetically."""
    return dict(sorted(Counter(row.reason for row in rows if row.reason is not None).items()))
