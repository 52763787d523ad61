"""What an engine is: a face detector, a way to follow a face, and a landmark predictor that go together."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from facefoundry.errors import FieldViolation, InvalidInput

__all__ = ["Engine", "Tracker", "not_installed"]


class Tracker(ABC):
    """Follows one face from frame to frame, cheaper than the detector."""

    @abstractmethod
    def update(self, frame: NDArray[np.uint8]) -> NDArray[np.float64] | None:
        """Find the face in the next frame.

        Args:
            frame: uint8 [h, w, 3], BGR.

        Returns:
            Box float64 [4] like the detector's, or None when the face is lost.
        """


class Engine(ABC):
    """Finds faces and landmarks in frames; equal frames give equal results on the same machine.

    Boxes are x, y, width, height in frame pixels and may reach over the frame's edge. A landmark predictor is trained
    with one detector's boxes, so `landmarks` wants boxes as `detect` makes them, or the same box moved along.

    Attributes:
        name: As in recipes.
        build: Versions of the package and of the weights, for the record.
    """

    name: str
    build: str

    @abstractmethod
    def detect(self, frame: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Find faces.

        Args:
            frame: uint8 [h, w, 3], BGR.

        Returns:
            Boxes float64 [k, 4]; k is 0 when there is no face.
        """

    @abstractmethod
    def tracker(self, frame: NDArray[np.uint8], box: NDArray[np.float64]) -> Tracker:
        """Start to follow a face.

        Args:
            frame: uint8 [h, w, 3], BGR, in which the face was detected.
            box: float64 [4], its box.
        """

    @abstractmethod
    def landmarks(self, frame: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.float32]:
        """Find the 68 landmarks of a face.

        Args:
            frame: uint8 [h, w, 3], BGR.
            box: float64 [4].

        Returns:
            Points float32 [68, 2], (x, y) in frame pixels with pixel centres at integers.
        """


def not_installed(name: str, lacks: str, remedy: str) -> InvalidInput:
    """The error of an engine whose package or weights are not here."""
    return InvalidInput(
        f"The engine {name!r} cannot be used here: {lacks}. {remedy}",
        reason="ENGINE_NOT_INSTALLED",
        metadata={"engine": name},
        violations=[FieldViolation("recipe.extraction.engine", lacks)],
    )
