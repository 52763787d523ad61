"""Decides by face embeddings who the subject of an extraction is, so that a frame of another person is never taken.

Pictures of one person have embeddings at a small Euclidean distance. In 13 clips of one person each, the distance to
the first frame stays below 0.45, while two persons are at 0.5 and more, most of them above 0.6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from services.extractor.boxes import Box, largest, nearest
from services.extractor.tracking import Frame

if TYPE_CHECKING:
    from services.extractor.identity import FaceEmbedder

__all__ = ["DOUBT", "Embedding", "FaceViews", "Person", "pick_centre", "same_person"]

DOUBT: Final = 0.5
"""A face that was tracked is kept up to the distance `_MAX_TRACKED`; above this one that is a doubt."""

_MAX_PICKED: Final = 0.5
_MAX_TRACKED: Final = 0.6
# An embedding that is as far from all known ones, yet surely the subject's, is a new look of the subject and kept.
_NEW_LOOK: Final = 0.3
_MAX_LOOKS: Final = 12

Embedding = NDArray[np.float32]
FirstChoice = Callable[[Frame, NDArray[np.float64]], Box]


class FaceViews:
    """Landmarks and embeddings of the faces in the current frame, each computed once.

    Args:
        landmarks: Predicts the landmarks, float32 [68, 2], of the face in a box.
        embedder: Loads the embeddings of faces.
    """

    def __init__(
        self, landmarks: Callable[[Frame, Box], NDArray[np.float32]], embedder: Callable[[], FaceEmbedder]
    ) -> None:
        self._landmarks, self._embedder = landmarks, embedder
        self._frame: Frame | None = None
        self._embeddings: dict[bytes, Embedding] = {}

    def embedding(self, frame: Frame, box: Box) -> Embedding:
        """Return the embedding, float32 [128], of the face in a box of a frame, uint8 [h, w, 3] BGR."""
        if frame is not self._frame:
            self._frame, self._embeddings = frame, {}
        key = box.tobytes()
        if key not in self._embeddings:
            self._embeddings[key] = self._embedder().embed(frame, self._landmarks(frame, box))
        return self._embeddings[key]


class Person:
    """Chooses the faces of one person, by their embeddings. Implements `tracking.Choice`.

    Args:
        views: The faces of the current frame.
        first: Chooses the first face if the person is not known; by default the largest, as FF++.
        known: An embedding of the person, float32 [128]; None if the first chosen face decides who it is.
    """

    def __init__(self, views: FaceViews, first: FirstChoice | None = None, known: Embedding | None = None) -> None:
        self._views, self._first = views, first or (lambda frame, boxes: largest(boxes))
        self._looks: list[Embedding] = [] if known is None else [known]

    def learn(self, embedding: Embedding) -> None:
        """Remember an embedding of the subject, float32 [128], if it is a new look. Call it with every frame's."""
        if len(self._looks) < _MAX_LOOKS and self._distance(embedding) > (_NEW_LOOK if self._looks else -1.0):
            self._looks.append(embedding)

    def pick(self, frame: Frame, boxes: NDArray[np.float64], last: Box | None) -> Box | None:
        """Return the box of the face that is most like the person; None if none is like it."""
        if not self._looks:
            return self._first(frame, boxes)
        distances = [self._distance(self._views.embedding(frame, box)) for box in boxes]
        best = int(np.argmin(distances))
        return np.asarray(boxes[best], dtype=np.float64) if distances[best] <= _MAX_PICKED else None

    def keeps(self, frame: Frame, box: Box) -> bool:
        """Return whether a tracked box still shows the person."""
        return not self._looks or self._distance(self._views.embedding(frame, box)) <= _MAX_TRACKED

    def _distance(self, embedding: Embedding) -> float:
        """Return the distance to the most similar known look; infinite if none is known."""
        return min((float(np.linalg.norm(embedding - look)) for look in self._looks), default=float("inf"))


def same_person(first: Embedding, second: Embedding) -> bool:
    """Return whether two embeddings, float32 [128], are surely of one person."""
    return float(np.linalg.norm(first - second)) <= _MAX_PICKED


def pick_centre(frame: Frame, boxes: NDArray[np.float64]) -> Box:
    """Return the box nearest to the centre of the frame."""
    return nearest(boxes, (0, 0, frame.shape[1], frame.shape[0]))
