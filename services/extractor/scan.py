"""Finds out who the subject is before an extraction starts, where the first frame with a face does not tell it."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry.errors import InvalidInput
from services.extractor.boxes import largest, nearest
from services.extractor.functions import Chosen
from services.extractor.person import Embedding, FaceViews, same_person
from services.extractor.tracking import Frame, motion

if TYPE_CHECKING:
    from services.extractor.engines.base import Engine

__all__ = ["find_person"]

# Frames that are searched for the face that moves: every tenth of the first 240.
_EVERY: Final = 10
_FRAMES: Final = 240


def find_person(chosen: Chosen, frames: Iterable[Frame], engine: Engine, views: FaceViews) -> Embedding | None:
    """Return an embedding of the chosen person.

    Args:
        chosen: Who the subject is: `moving`, `point` or `picture`.
        frames: The clip's frames, uint8 [h, w, 3] BGR, from the first; read as far as needed.
        engine: Finds faces.
        views: Embeds them.

    Returns:
        The embedding, float32 [128]; None if no frame that was searched has a face.

    Raises:
        InvalidInput: there is no face at the point or in the picture (SUBJECT_NOT_FOUND).
    """
    if chosen.kind == "picture":
        picture = _decoded(chosen.picture)
        boxes = engine.detect(picture) if picture is not None else np.zeros((0, 4))
        if picture is None or not len(boxes):
            raise _not_found("The picture of the subject shows no face that can be found. Use another picture.")
        return views.embedding(picture, largest(boxes))
    if chosen.kind == "point":
        return _at_point(chosen, frames, engine, views)
    return _moving(frames, engine, views)


def _at_point(chosen: Chosen, frames: Iterable[Frame], engine: Engine, views: FaceViews) -> Embedding:
    for index, frame in enumerate(frames):
        if index == chosen.frame:
            boxes = engine.detect(frame)
            if len(boxes):
                box = nearest(boxes, (chosen.x, chosen.y, 0, 0))
                if np.all(np.abs(box[:2] + box[2:] / 2 - (chosen.x, chosen.y)) <= box[2:]):
                    return views.embedding(frame, box)
            break
    raise _not_found(
        f"There is no face at ({chosen.x:g}, {chosen.y:g}) in frame {chosen.frame}. Name a point in the face of the "
        "subject, in a frame in which it looks to the camera."
    )


def _moving(frames: Iterable[Frame], engine: Engine, views: FaceViews) -> Embedding | None:
    """Return the embedding of the person whose pictures differ most from one searched frame to the next."""
    people: list[tuple[Embedding, list[float]]] = []
    before: Frame | None = None
    for index, frame in enumerate(frames):
        if index >= _FRAMES:
            break
        if index % _EVERY:
            continue
        for box in engine.detect(frame):
            moved = 0.0 if before is None else motion(before, frame, box)
            embedding = views.embedding(frame, box)
            known = next((motions for look, motions in people if same_person(look, embedding)), None)
            if known is None:
                people.append((embedding, [moved]))
            else:
                known.append(moved)
        before = frame
    most = max((len(motions) for _, motions in people), default=0)
    often = [(look, motions) for look, motions in people if 4 * len(motions) >= most]
    return max(often, key=lambda person: float(np.median(person[1])))[0] if often else None


def _decoded(picture: str) -> NDArray[np.uint8] | None:
    data = np.frombuffer(base64.b64decode(picture), dtype=np.uint8)
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    return None if decoded is None else np.asarray(decoded, dtype=np.uint8)


def _not_found(message: str) -> InvalidInput:
    return InvalidInput(message, reason="SUBJECT_NOT_FOUND")
