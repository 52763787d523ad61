"""Decides by face embeddings who the subject of an extraction is, so that a frame of another person is never taken.

Pictures of one person have embeddings at a small Euclidean distance. In 13 clips of one person each, the distance to
the first frame stays below 0.45, while two persons are at 0.5 and more, most of them above 0.6.

An embedding takes longer than all else in a frame. So a face that is tracked is trusted for some frames, while it looks
much as before, and is verified then. If it is not the subject's, the frames that were trusted are verified one by one.
Only another person's face that came and went between two verified frames, without a cut or a loss, would be taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from facefoundry.faces import crop
from services.extractor.boxes import Box, iou, largest, nearest
from services.extractor.glimpse import Glimpse, differ, glimpse
from services.extractor.tracking import SAME_FACE, Frame

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
Chip = NDArray[np.uint8]
FirstChoice = Callable[[Frame, NDArray[np.float64]], Box]


class FaceViews:
    """Landmarks and embeddings of the faces in the current frame, each computed once.

    Args:
        landmarks: Predicts the landmarks, float32 [68, 2], of the face in a box.
        embedder: Loads the embeddings of faces.

    Attributes:
        number: Number of the current frame in the clip. Set it before the frame is searched.
    """

    def __init__(
        self, landmarks: Callable[[Frame, Box], NDArray[np.float32]], embedder: Callable[[], FaceEmbedder]
    ) -> None:
        self._predict, self._embedder = landmarks, embedder
        self._frame: Frame | None = None
        self._landmarks: dict[bytes, NDArray[np.float32]] = {}
        self._embeddings: dict[bytes, Embedding] = {}
        self.number = 0

    def landmarks(self, frame: Frame, box: Box) -> NDArray[np.float32]:
        """Return the landmarks, float32 [68, 2], of the face in a box of a frame, uint8 [h, w, 3] BGR."""
        if frame is not self._frame:
            self._frame, self._landmarks, self._embeddings = frame, {}, {}
        key = box.tobytes()
        if key not in self._landmarks:
            self._landmarks[key] = self._predict(frame, box)
        return self._landmarks[key]

    def glimpse(self, frame: Frame, box: Box) -> Glimpse | None:
        """Return a small picture of the face, see `glimpse`; None if it cannot be aligned."""
        matrix = crop.face_matrix(self.landmarks(frame, box))
        return glimpse(frame, matrix) if crop.is_usable(matrix) else None

    def chip(self, frame: Frame, box: Box) -> Chip:
        """Return what `embed_chip` embeds of the face, uint8 [150, 150, 3]."""
        return self._embedder().chip(frame, self.landmarks(frame, box))

    def embed_chip(self, chip: Chip) -> Embedding:
        """Return the embedding, float32 [128], of the face of a chip."""
        return self._embedder().embed_chip(chip)

    def embedding(self, frame: Frame, box: Box) -> Embedding:
        """Return the embedding, float32 [128], of the face in a box of a frame."""
        landmarks, key = self.landmarks(frame, box), box.tobytes()
        if key not in self._embeddings:
            self._embeddings[key] = self._embedder().embed(frame, landmarks)
        return self._embeddings[key]


class Person:
    """Chooses the faces of one person, by their embeddings. Implements `tracking.Choice`.

    Args:
        views: The faces of the current frame.
        first: Chooses the first face if the person is not known; by default the largest, as FF++.
        known: An embedding of the person, float32 [128]; None if the first chosen face decides who it is.
        verify_every: Number of frames with a tracked face of which at least one is verified; 1 for all.
    """

    def __init__(
        self,
        views: FaceViews,
        first: FirstChoice | None = None,
        known: Embedding | None = None,
        verify_every: int = 1,
    ) -> None:
        self._views, self._first = views, first or (lambda frame, boxes: largest(boxes))
        self._looks: list[Embedding] = [] if known is None else [known]
        self._verify_every = verify_every
        self._verified: Glimpse | None = None
        self._trusted: dict[int, Chip] = {}
        self._others: list[int] = []

    def learn(self, embedding: Embedding) -> None:
        """Remember an embedding of the subject, float32 [128], if it is a new look. Call it with every stored one."""
        if len(self._looks) < _MAX_LOOKS and self._distance(embedding) > (_NEW_LOOK if self._looks else -1.0):
            self._looks.append(embedding)

    def pick(self, frame: Frame, boxes: NDArray[np.float64], last: Box | None) -> Box | None:
        """Return the box of the face that is most like the person; None if none is like it."""
        picked = self._most_alike(frame, boxes) if self._looks else self._first(frame, boxes)
        if picked is None or last is None or iou(picked, last) <= SAME_FACE:
            self.end_track()
        self._trusted.clear()
        self._verified = None if picked is None else self._views.glimpse(frame, picked)
        return picked

    def _most_alike(self, frame: Frame, boxes: NDArray[np.float64]) -> Box | None:
        distances = [self._distance(self._views.embedding(frame, box)) for box in boxes]
        best = int(np.argmin(distances))
        return np.asarray(boxes[best], dtype=np.float64) if distances[best] <= _MAX_PICKED else None

    def keeps(self, frame: Frame, box: Box) -> bool:
        """Return whether a tracked box still shows the person, or is trusted to do so."""
        if not self._looks:
            return True
        seen = self._views.glimpse(frame, box)
        is_alike = seen is not None and self._verified is not None and not differ(self._verified, seen)
        if is_alike and len(self._trusted) + 1 < self._verify_every:
            self._trusted[self._views.number] = self._views.chip(frame, box)
            return True
        self._verified = seen
        embedding = self._views.embedding(frame, box)
        if self._distance(embedding) > _MAX_TRACKED:
            return self._distance(embedding, self._verify_trusted()) <= _MAX_TRACKED
        self._trusted.clear()
        return True

    def end_track(self) -> None:
        """Verify the last trusted frame, and if it shows another person, all of them."""
        if self._trusted:
            *_, newest = self._trusted.values()
            if self._distance(self._views.embed_chip(newest)) > _MAX_TRACKED:
                self._verify_trusted()
            self._trusted.clear()

    def trusts(self, number: int) -> bool:
        """Return whether the frame with a number is one of the last ones, which are not verified yet."""
        return number in self._trusted

    def take_others(self) -> list[int]:
        """Return the numbers of trusted frames that show another person, each once. It ends the track."""
        self.end_track()
        others, self._others = self._others, []
        return others

    def _verify_trusted(self) -> list[Embedding]:
        """Verify the trusted frames one by one, and return the known looks with those of these frames."""
        looks = list(self._looks)
        for number, chip in self._trusted.items():
            embedding = self._views.embed_chip(chip)
            distance = self._distance(embedding, looks)
            if distance > _MAX_TRACKED:
                self._others.append(number)
            elif distance > _NEW_LOOK:
                looks.append(embedding)
        self._trusted.clear()
        return looks

    def _distance(self, embedding: Embedding, looks: list[Embedding] | None = None) -> float:
        """Return the distance to the most similar look, of those that are known by default; infinite if none is."""
        looks = self._looks if looks is None else looks
        return min((float(np.linalg.norm(embedding - look)) for look in looks), default=float("inf"))


def same_person(first: Embedding, second: Embedding) -> bool:
    """Return whether two embeddings, float32 [128], are surely of one person."""
    return float(np.linalg.norm(first - second)) <= _MAX_PICKED


def pick_centre(frame: Frame, boxes: NDArray[np.float64]) -> Box:
    """Return the box nearest to the centre of the frame."""
    return nearest(boxes, (0, 0, frame.shape[1], frame.shape[0]))
