"""The losses of a whole training, reduced to a bounded number of points."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_POINTS", "History"]

MAX_POINTS = 500
_MIN_POINTS, _NEWEST_POINTS = 40, 10
_COLLAPSE = 4.0


@dataclass
class History:
    """Mean losses over intervals of equal length; when there are more than 500, neighbouring intervals are merged.

    The points do not depend on how the iterations were split into calls of `add`.

    Attributes:
        points: One point for each complete interval: its last iteration, mean loss of A, mean loss of B.
        stride: Iterations in an interval.
        pending: Sums of the losses of A and B over the newest interval, which is not complete.
        count: Iterations in the newest interval so far.
    """

    points: list[tuple[int, float, float]] = field(default_factory=list)
    stride: int = 1
    pending: tuple[float, float] = (0.0, 0.0)
    count: int = 0

    @property
    def missing(self) -> int:
        """Iterations that the newest interval lacks until it is complete."""
        return self.stride - self.count

    def add(self, iteration: int, losses: NDArray[np.float32]) -> None:
        """Add the losses of A and B of the last n iterations.

        Args:
            iteration: Number of iterations done, these included.
            losses: float32 [n, 2].
        """
        for number, (loss_a, loss_b) in enumerate(losses.tolist(), iteration - len(losses) + 1):
            self.pending = self.pending[0] + loss_a, self.pending[1] + loss_b
            self.count += 1
            if self.count == self.stride:
                self.points.append((number, self.pending[0] / self.stride, self.pending[1] / self.stride))
                self.pending, self.count = (0.0, 0.0), 0
                if len(self.points) > MAX_POINTS:
                    self._merge()

    def collapsed(self) -> bool:
        """Return whether the newest losses of A or B are far above their lowest, so that more training is useless."""
        if len(self.points) < _MIN_POINTS:
            return False
        losses = np.array(self.points)[:, 1:]
        return bool((np.median(losses[-_NEWEST_POINTS:], axis=0) > _COLLAPSE * np.percentile(losses, 5, axis=0)).any())

    def _merge(self) -> None:
        """Merge the intervals in pairs; if their number is odd, the last one becomes the incomplete interval."""
        last = self.points.pop() if len(self.points) % 2 else None
        pairs = zip(self.points[::2], self.points[1::2], strict=True)
        self.points = [(second[0], (first[1] + second[1]) / 2, (first[2] + second[2]) / 2) for first, second in pairs]
        if last:
            self.pending, self.count = (last[1] * self.stride, last[2] * self.stride), self.stride
        self.stride *= 2
