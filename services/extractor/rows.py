"""The per-frame results of one part of an extraction: collected frame by frame, or read from a stored part.

A row is the result of one frame: its digest, and its face or the reason why it has none.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facefoundry.errors import DataLoss
from facefoundry.faces import face_tar
from facefoundry.faces.alignments import OTHER_PERSON, Alignments
from facefoundry.media.read import DECODER, MediaInfo, frame_digest
from facefoundry.storage.parts import ALIGNMENTS_OF_FACES, FACES
from facefoundry.work.workspace import Workspace
from services.extractor.tracking import Sighting

__all__ = ["Face", "Rows", "last_box", "read_finished"]


@dataclass(frozen=True)
class Face:
    """The subject's face in one frame.

    Attributes:
        box: int32 [4]: x, y, width and height in frame pixels.
        landmarks: float32 [68, 2], (x, y) in frame pixels.
        matrix: float64 [2, 3], maps frame pixels to the mean face's unit square.
        crop: Aligned face, uint8 [size, size, 3] BGR.
        embedding: float32 [128], see `identity`; zeros if it was not computed.
        spread: How unsure the landmarks are, see `Alignments.spreads`.
    """

    box: NDArray[np.int32]
    landmarks: NDArray[np.float32]
    matrix: NDArray[np.float64]
    crop: NDArray[np.uint8]
    embedding: NDArray[np.float32]
    spread: float


@dataclass
class Rows:
    """The rows of one part, in the order of its frames.

    Attributes:
        info: The clip's properties.
        engine: Build of the engine that found the faces.
        reasons: For each frame, the index in `alignments.REASONS` of why it has no face; 0 if it has one.
        boxes: `Face.box` of each frame; zeros for a frame without a face.
        landmarks: `Face.landmarks` of each frame; zeros for a frame without a face.
        matrices: `Face.matrix` of each frame; zeros for a frame without a face.
        frame_digests: `frame_digest` of each frame.
        crop_digests: `frame_digest` of each crop; 0 for a frame without a face.
        embeddings: `Face.embedding` of each frame; zeros for a frame without a face.
        sightings: What was seen in each frame.
        spreads: `Face.spread` of each frame; 0 for a frame without a face.
    """

    info: MediaInfo
    engine: str
    reasons: list[int] = field(default_factory=list)
    boxes: list[NDArray[np.int32]] = field(default_factory=list)
    landmarks: list[NDArray[np.float32]] = field(default_factory=list)
    matrices: list[NDArray[np.float64]] = field(default_factory=list)
    frame_digests: list[int] = field(default_factory=list)
    crop_digests: list[int] = field(default_factory=list)
    embeddings: list[NDArray[np.float32]] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    spreads: list[float] = field(default_factory=list)

    def add(self, digest: int, reason: int, face: Face | None, sighting: Sighting) -> None:
        """Append the row of the next frame.

        Args:
            digest: `frame_digest` of the frame.
            reason: Index in `alignments.REASONS` of why the frame has no face; 0 if it has one.
            face: The face; None if the frame has none, in which case zeros are appended.
            sighting: What was seen in the frame.
        """
        self.frame_digests.append(digest)
        self.reasons.append(reason)
        self.boxes.append(face.box if face else np.zeros(4, np.int32))
        self.landmarks.append(face.landmarks if face else np.zeros((68, 2), np.float32))
        self.matrices.append(face.matrix if face else np.zeros((2, 3)))
        self.crop_digests.append(frame_digest(face.crop) if face else 0)
        self.embeddings.append(face.embedding if face else np.zeros(128, np.float32))
        self.sightings.append(sighting)
        self.spreads.append(face.spread if face else 0.0)

    def refuse(self, row: int) -> None:
        """Take the face from a row that has one: it is another person's."""
        for arrays in (self.boxes, self.landmarks, self.matrices, self.embeddings):
            arrays[row] = np.zeros_like(arrays[row])
        self.crop_digests[row], self.spreads[row] = 0, 0.0
        self.reasons[row] = OTHER_PERSON
        self.sightings[row] = Sighting(None, OTHER_PERSON, self.sightings[row].seen)

    def alignments(self, first: int = 0, *, identity: bool) -> Alignments:
        """Return the rows as arrays.

        Args:
            first: Index of the first row.
            identity: Whether to include the embeddings.
        """
        return Alignments(
            boxes=np.array(self.boxes[first:], np.int32).reshape(-1, 4),
            landmarks=np.array(self.landmarks[first:], np.float32).reshape(-1, 68, 2),
            matrices=np.array(self.matrices[first:], np.float64).reshape(-1, 2, 3),
            reasons=np.array(self.reasons[first:], np.uint8),
            frame_digests=np.array(self.frame_digests[first:], np.uint64),
            crop_digests=np.array(self.crop_digests[first:], np.uint64),
            frame_rate=self.info.frame_rate,
            width=self.info.width,
            height=self.info.height,
            decoder=DECODER,
            engine=self.engine,
            embeddings=np.array(self.embeddings[first:], np.float32).reshape(-1, 128) if identity else None,
            seen=np.array([sighting.seen for sighting in self.sightings[first:]], np.uint8),
            tracked=np.array([sighting.tracked for sighting in self.sightings[first:]], np.uint8),
            spreads=np.array(self.spreads[first:], np.float32),
            motions=np.array([sighting.motions for sighting in self.sightings[first:]], np.float32).reshape(-1, 2),
        )


def read_finished(workspace: Workspace, info: MediaInfo, engine: str, part_frames: int) -> list[Alignments]:
    """Read the parts that an earlier call finished, up to the first one that cannot be kept.

    A part is kept if it is not damaged and was made with the current decoder, engine, frame size and part length.

    Args:
        workspace: Folders with the finished parts.
        info: The clip's properties.
        engine: Build of the engine.
        part_frames: Number of frames in each part.
    """
    parts: list[Alignments] = []
    while {FACES.name(len(parts)), ALIGNMENTS_OF_FACES.name(len(parts))} <= set(workspace.finished):
        number = len(parts)
        try:
            part = Alignments.from_bytes(workspace.finished_part(ALIGNMENTS_OF_FACES.name(number)).read_bytes())
            frames, crops = face_tar.unpack(workspace.finished_part(FACES.name(number)).read_bytes())
        except DataLoss:
            break
        facts = (part.decoder, part.engine, part.frame_rate, part.width, part.height, len(part))
        rows = np.flatnonzero(part.found)
        belongs = (
            facts == (DECODER, engine, info.frame_rate, info.width, info.height, part_frames)
            and np.array_equal(frames, rows + number * part_frames)
            and [frame_digest(picture) for picture in crops] == part.crop_digests[rows].tolist()
        )
        if not belongs:
            break
        parts.append(part)
    return parts


def last_box(parts: list[Alignments]) -> NDArray[np.int32] | None:
    """Return the last box in the parts, int32 [4], from which the next part continues; None if no frame has a face."""
    for part in reversed(parts):
        rows = np.flatnonzero(part.found)
        if rows.size:
            return np.asarray(part.boxes[rows[-1]], dtype=np.int32)
    return None
