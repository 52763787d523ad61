"""Labels: one row for every frame of a manipulated sequence, and the file that holds them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from facefoundry import codec
from services.converter.mask import Box

__all__ = ["FORMAT", "OUT_OF_RANGE", "Label", "Labels", "Row", "to_json", "unswapped"]

FORMAT = "facefoundry.labels/1"

OUT_OF_RANGE = "OUT_OF_RANGE"
"""Reason of a frame outside the recipe's frame ranges."""


@dataclass(frozen=True)
class Row:
    """What a conversion made of one frame.

    Attributes:
        frame: Number in the target, from 0.
        swapped: True when the frame carries the other face.
        reason: Why it does not, UPPER_SNAKE; None when it does.
        box: Box of the FF++ mask; None when the frame is not swapped.
    """

    frame: int
    swapped: bool
    reason: str | None = None
    box: Box | None = None

    def __post_init__(self) -> None:
        """Check that the row has either a box or a reason.

        Raises:
            ValueError: it has both or neither.
        """
        if self.swapped != (self.box is not None) or self.swapped != (self.reason is None):
            raise ValueError(f"expected a box or a reason in row {self.frame}")


@dataclass(frozen=True)
class Label(Row):
    """The label of one frame, a row of `labels.json`.

    Attributes:
        changed_outside: Number of pixels that differ from the target and do not lie strictly inside the FF++ mask, so
            outside it or on its outermost rows and columns. It is 0 in every frame cloned as `opencv-3.4.1`.
    """

    changed_outside: int = 0


@dataclass(frozen=True)
class Labels:
    """The file `labels.json`.

    Attributes:
        format: `FORMAT`.
        synthetic: True; a detector's training set reads it.
        control: The face comes from the target's own decoder.
        frame_count: Number of frames.
        swapped_count: Number of frames that carry the other face.
        changed_outside: Sum of the rows'.
        frames: The rows, in order.
    """

    format: str
    synthetic: bool
    control: bool
    frame_count: int
    swapped_count: int
    changed_outside: int
    frames: list[Label]


def to_json(rows: Sequence[Label], *, control: bool) -> bytes:
    """Return the bytes of `labels.json`.

    Args:
        rows: One for every frame that is written, in order.
        control: The face comes from the target's own decoder.
    """
    swapped = sum(row.swapped for row in rows)
    outside = sum(row.changed_outside for row in rows)
    labels = Labels(FORMAT, True, control, len(rows), swapped, outside, list(rows))
    return json.dumps(codec.to_values(labels), separators=(",", ":"), sort_keys=True).encode()


def unswapped(rows: Sequence[Row]) -> dict[str, int]:
    """Count the frames without the other face by reason, in alphabetical order."""
    return dict(sorted(Counter(row.reason for row in rows if row.reason is not None).items()))
