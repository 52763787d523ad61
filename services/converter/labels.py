"""Labels: one row for every frame of a manipulated sequence, and the file that holds them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.converter.mask import Box

__all__ = ["FORMAT", "OUT_OF_RANGE", "Row", "to_json", "unswapped"]

FORMAT = "facefoundry.labels/1"

OUT_OF_RANGE = "OUT_OF_RANGE"
"""Reason of a frame outside the recipe's frame ranges."""


@dataclass(frozen=True)
class Row:
    """What became of one frame.

    Attributes:
        frame: Number in the target, from 0.
        swapped: True when the frame carries the other face.
        reason: Why it does not, UPPER_SNAKE; None when it does.
        box: Box of the FF++ mask; None when the frame is untouched.
    """

    frame: int
    swapped: bool
    reason: str | None = None
    box: Box | None = None

    def to_record(self) -> dict[str, Any]:
        """The row in JSON values."""
        box = None if self.box is None else list(self.box)
        return {"frame": self.frame, "swapped": self.swapped, "reason": self.reason, "box": box}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Row:
        """Read what `to_record` gave.

        Raises:
            ValueError, KeyError, TypeError: the record is something else.
        """
        box = None if record["box"] is None else Box(*(int(value) for value in record["box"]))
        row = cls(int(record["frame"]), bool(record["swapped"]), record["reason"], box)
        if row.swapped != (row.box is not None) or row.swapped != (row.reason is None):
            raise ValueError(f"Expected a box or a reason in row {row.frame}")
        return row


def to_json(rows: Sequence[Row], *, control: bool) -> bytes:
    """Write `labels.json`: says that the sequence is synthetic, and what became of every frame.

    Args:
        rows: One for every frame that is written, in order.
        control: The face comes from the target's own decoder.
    """
    record = {
        "format": FORMAT,
        "synthetic": True,
        "control": control,
        "frame_count": len(rows),
        "swapped_count": sum(row.swapped for row in rows),
        "frames": [row.to_record() for row in rows],
    }
    return json.dumps(record, separators=(",", ":"), sort_keys=True).encode()


def unswapped(rows: Sequence[Row]) -> dict[str, int]:
    """Count the frames without the other face by reason, in alphabetical order."""
    return dict(sorted(Counter(row.reason for row in rows if row.reason is not None).items()))
