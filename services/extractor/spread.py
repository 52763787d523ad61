"""Measures how unsure the landmarks of each frame are, by a second prediction of some of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from services.extractor.boxes import Box

if TYPE_CHECKING:
    from services.extractor.engines.base import Engine

__all__ = ["Spreads"]

# A second prediction takes as long as the first, a quarter of the time of an extraction.
_EVERY: Final = 8
# Mean distance, in distances between the eyes, by which the shape of a face changes while its landmarks stay as sure as
# they are.
_SAME_SHAPE: Final = 0.06


class Spreads:
    """The spreads of the landmarks of consecutive frames, see `Alignments.spreads`.

    A spread is measured in every eighth frame, and in each whose landmarks form another shape than those that were
    measured last, as landmarks that miss the face do. In between a frame has the spread that was measured last.

    Args:
        engine: Predicts landmarks twice.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.restart()

    def restart(self) -> None:
        """Forget all earlier frames. Call it too where the face is lost."""
        self._age, self._spread = 0, float("nan")
        self._shape: NDArray[np.float64] | None = None

    def spread(
        self, frame: NDArray[np.uint8], box: Box, landmarks: NDArray[np.float32], matrix: NDArray[np.float64]
    ) -> float:
        """Return the spread of the next frame's landmarks, in distances between the eyes.

        Args:
            frame: uint8 [h, w, 3], BGR.
            box: Box in which the landmarks were predicted, float64 [4].
            landmarks: float32 [68, 2], (x, y) in frame pixels.
            matrix: float64 [2, 3], maps frame pixels to the mean face's unit square.
        """
        shape = landmarks @ matrix[:, :2].T + matrix[:, 2]
        self._age += 1
        if self._shape is None or self._age >= _EVERY or _apart(shape, self._shape) > _SAME_SHAPE:
            second = self._engine.second_landmarks(frame, box)
            self._spread = float("nan") if second is None else _apart(landmarks, second)
            self._age, self._shape = 0, shape
        return self._spread


def _apart(points: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Return the mean distance between two sets of 68 points, in distances between the eyes; NaN without eyes."""
    left, right = points[36:48].reshape(2, 6, 2).sum(axis=1) / 6
    eyes = float(np.hypot(*(right - left)))
    return float(np.hypot(*(points - second).T).sum()) / len(points) / eyes if eyes else float("nan")
