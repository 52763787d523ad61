"""The losses of a whole training in a bounded number of points; independent of how iterations come in calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_POINTS", "History"]

MAX_POINTS = 500
_FEWEST_POINTS, _NEWEST_POINTS = 40, 10
_COLLAPSE = 4.0


@dataclass
class History:
    """Mean losses over equal stretches of iterations; when there are too many, two stretches become one.

    Attributes:
        points: Rows (last iteration of the stretch, mean loss A, mean loss B).
        stride: Iterations a stretch.
        pending: Sums of A and B over the stretch that is not full.
        count: Iterations in it.
    """

    points: list[tuple[int, float, float]] = field(default_factory=list)
    stride: int = 1
    pending: tuple[float, float] = (0.0, 0.0)
    count: int = 0

    def add(self, iteration: int, losses: NDArray[np.float32]) -> None:
        """Take the losses [n, 2] of the n iterations up to `iteration`."""
        for number, (loss_a, loss_b) in enumerate(losses.tolist(), iteration - len(losses) + 1):
            self.pending = self.pending[0] + loss_a, self.pending[1] + loss_b
            self.count += 1
            if self.count == self.stride:
                self.points.append((number, self.pending[0] / self.stride, self.pending[1] / self.stride))
                self.pending, self.count = (0.0, 0.0), 0
                if len(self.points) > MAX_POINTS:
                    self._halve()

    def collapsed(self) -> bool:
        """Whether a side has lost what it had learned: its newest losses are far above its lowest ones.

        Too high a learning rate can push a decoder to a constant picture, from which it does not come back.
        """
        if len(self.points) < _FEWEST_POINTS:
            return False
        losses = np.array(self.points)[:, 1:]
        return bool((np.median(losses[-_NEWEST_POINTS:], axis=0) > _COLLAPSE * np.percentile(losses, 5, axis=0)).any())

    def _halve(self) -> None:
        """Join neighbours; an odd last point becomes the pending half of the next stretch."""
        last = self.points.pop() if len(self.points) % 2 else None
        pairs = zip(self.points[::2], self.points[1::2], strict=True)
        self.points = [(second[0], (first[1] + second[1]) / 2, (first[2] + second[2]) / 2) for first, second in pairs]
        if last:
            self.pending, self.count = (last[1] * self.stride, last[2] * self.stride), self.stride
        self.stride *= 2

    def to_json(self) -> dict[str, Any]:
        """JSON values that `from_json` takes."""
        return {"points": self.points, "stride": self.stride, "pending": self.pending, "count": self.count}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> History:
        """Rebuild what `to_json` gave."""
        points = [(int(number), float(loss_a), float(loss_b)) for number, loss_a, loss_b in record["points"]]
        first, second = record["pending"]
        return cls(points, int(record["stride"]), (float(first), float(second)), int(record["count"]))
