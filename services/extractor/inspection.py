"""What the frames of a clip say about its cuts, and some of them about the faces in it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from facefoundry.storage.info import ExtractionWarning
from services.extractor import doubts
from services.extractor.functions import FaceSample
from services.extractor.look import face_look
from services.extractor.tracking import Frame, is_cut, motion, thumbnail

__all__ = ["SeenFaces"]

Landmarks = Callable[[Frame, NDArray[np.float64]], NDArray[np.float32]]


class SeenFaces:
    """Collects the faces in some frames of a clip, and its cuts, for what an inspection can say about them.

    Attributes:
        samples: The frames that were searched for faces.
        cuts: The first frames after cuts.
    """

    def __init__(self) -> None:
        self.samples: list[FaceSample] = []
        self.cuts: list[int] = []
        self._motions: list[tuple[float, float]] = []
        self._before: Frame | None = None
        self._thumbnail: Frame | None = None

    def pass_by(self, index: int, frame: Frame) -> None:
        """Take the next frame, of all frames, to find cuts."""
        small = thumbnail(frame)
        if self._thumbnail is not None and is_cut(self._thumbnail, small):
            self.cuts.append(index)
        self._thumbnail = small

    def search(self, index: int, frame: Frame, boxes: NDArray[np.float64], landmarks: Landmarks | None) -> None:
        """Take a frame that was searched for faces.

        Args:
            index: Number of the frame, from 0.
            frame: uint8 [h, w, 3], BGR.
            boxes: The faces, float64 [n, 4].
            landmarks: Predicts the landmarks of a face; None if the engine has none.
        """
        largest = None
        if len(boxes):
            first = int(np.argmax(boxes[:, 2] * boxes[:, 3]))
            box = boxes[first]
            largest = face_look(frame, box, None if landmarks is None else landmarks(frame, box))
            if self._before is not None and len(boxes) > 1:
                motions = [motion(self._before, frame, other) for other in boxes]
                self._motions.append((motions.pop(first), max(motions)))
        self.samples.append(FaceSample(index, len(boxes), largest))
        self._before = frame

    def warnings(self) -> list[ExtractionWarning]:
        """Return what is in doubt."""
        made = doubts.several_faces([sample.faces for sample in self.samples])
        if doubts.still_face(np.array(self._motions, np.float32).reshape(-1, 2)):
            made.append(
                ExtractionWarning(
                    reason="STILL_FACE",
                    message="The largest face hardly moves, as a picture, while another one does. By default it "
                    "would be the subject: choose `moving`, a point or a picture.",
                )
            )
        return made
