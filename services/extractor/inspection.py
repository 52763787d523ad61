"""What some frames of a clip say about the faces in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facefoundry.storage.info import ExtractionWarning
from services.extractor import doubts
from services.extractor.tracking import Frame, motion

__all__ = ["SeenFaces"]


class SeenFaces:
    """Collects the faces in some frames of a clip, for what an inspection can say about them."""

    def __init__(self) -> None:
        self._counts: list[int] = []
        self._motions: list[tuple[float, float]] = []
        self._before: Frame | None = None

    def add(self, frame: Frame, boxes: NDArray[np.float64]) -> int:
        """Take the next frame and the boxes in it; return their number."""
        self._counts.append(len(boxes))
        if self._before is not None and len(boxes) > 1:
            first = int(np.argmax(boxes[:, 2] * boxes[:, 3]))
            motions = [motion(self._before, frame, box) for box in boxes]
            self._motions.append((motions.pop(first), max(motions)))
        self._before = frame
        return len(boxes)

    def warnings(self) -> list[ExtractionWarning]:
        """Return what is in doubt."""
        made = doubts.several_faces(self._counts)
        if doubts.still_face(np.array(self._motions, np.float32).reshape(-1, 2)):
            made.append(
                ExtractionWarning(
                    reason="STILL_FACE",
                    message="The largest face hardly moves, as a picture, while another one does. By default it "
                    "would be the subject: choose `moving`, a point or a picture.",
                )
            )
        return made
