"""The alignments of an extraction: boxes, landmarks and matrices of every frame, as arrays and as files.

The file formats are safetensors and the JSON of faceswap's version of 2018.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import PurePath
from typing import Final, TypeVar

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from facefoundry.codec import JsonObject, JsonValue, from_json
from facefoundry.errors import DataLoss, InvalidInput
from facefoundry.faces.mean_face import FIRST_LANDMARK, MEAN_FACE
from facefoundry.faces.umeyama import similarity
from facefoundry.formats import refuse_newer

__all__ = [
    "BAD_LANDMARKS",
    "DAMAGED",
    "EXCLUDED",
    "FOUND",
    "NOT_SEARCHED",
    "NO_FACE",
    "OTHER_PERSON",
    "REASONS",
    "Alignments",
    "concatenate",
    "from_faceswap",
]

T = TypeVar("T", np.uint8, np.float32)

FOUND: Final = 0
"""The subject's face was found."""
NO_FACE: Final = 1
"""The detector found no face in the frame."""
BAD_LANDMARKS: Final = 2
"""A face was found, but no crop can be cut, because its landmarks coincide or are not finite."""
DAMAGED: Final = 3
"""The frame is damaged, and was not searched for a face."""
OTHER_PERSON: Final = 4
"""The frame has faces, but by their embeddings none of them is the subject's."""
EXCLUDED: Final = 5
"""The request excludes the frame, so it was not searched for a face."""
REASONS: Final = ("FOUND", "NO_FACE", "BAD_LANDMARKS", "DAMAGED", "OTHER_PERSON", "EXCLUDED")
"""The name of each value of `Alignments.reasons`: `REASONS[value]`."""

NOT_SEARCHED: Final = 255
"""Value of `Alignments.seen` for a frame in which only the place of the last face was searched."""

_FORMAT: Final = "facefoundry.alignments/1"
_FORMAT_WITH_EXCLUDED: Final = "facefoundry.alignments/2"
"""The format of alignments with excluded frames, whose reason format 1 does not have."""
_ARRAYS: Final[dict[str, tuple[str, tuple[int, ...]]]] = {
    "boxes": ("int32", (4,)),
    "landmarks": ("float32", (68, 2)),
    "matrices": ("float64", (2, 3)),
    "reasons": ("uint8", ()),
    "frame_digests": ("uint64", ()),
    "crop_digests": ("uint64", ()),
    "embeddings": ("float32", (128,)),
    "seen": ("uint8", ()),
    "tracked": ("uint8", ()),
    "spreads": ("float32", ()),
    "motions": ("float32", (2,)),
}
_OPTIONAL: Final = ("embeddings", "seen", "tracked", "spreads", "motions")


@dataclass(frozen=True)
class Alignments:
    """The subject's face in each of n frames. All arrays have zeros for a frame without a face.

    Only `reasons` and `frame_digests` have values for every frame.

    Attributes:
        boxes: int32 [n, 4]: x, y, width and height of the detected face, in frame pixels.
        landmarks: float32 [n, 68, 2]: (x, y) in frame pixels.
        matrices: float64 [n, 2, 3]: each maps frame pixels to the unit square of the mean face.
        reasons: uint8 [n]: index into `REASONS`; 0 if the face was found.
        frame_digests: uint64 [n]: `media.source.frame_digest` of each decoded frame.
        crop_digests: uint64 [n]: `media.source.frame_digest` of each face crop.
        frame_rate: Frames per second as numerator and denominator.
        width: Width of the frames, pixels.
        height: Height of the frames, pixels.
        decoder: Names and versions of the libraries that decoded the frames.
        engine: Name and version of the engine that found the faces.
        embeddings: float32 [n, 128]: a vector per face that is similar for faces of one person; None if the recipe does
            not request it. Zeros for faces that were not embedded.
        seen: uint8 [n]: number of faces of anybody that the detector found in the whole frame; `NOT_SEARCHED` if it did
            not run. None if the alignments were not made by an extraction, as for the arrays below.
        tracked: uint8 [n]: 1 if the face was found at the place of the last one and not by a search of the whole frame.
        spreads: float32 [n]: how unsure the landmarks are, the mean distance between two predictions of them, in
            distances between the eyes. It is measured in one of eight frames, and where the shape of the face changes;
            the frames in between have the last value. NaN if the engine predicts them once.
        motions: float32 [n, 2]: how much the pictures in the subject's box and in the box of the face that moves most
            of all others differ from the last frame that was searched, in mean grey levels. NaN unless there are
            several faces.
    """

    boxes: NDArray[np.int32]
    landmarks: NDArray[np.float32]
    matrices: NDArray[np.float64]
    reasons: NDArray[np.uint8]
    frame_digests: NDArray[np.uint64]
    crop_digests: NDArray[np.uint64]
    frame_rate: tuple[int, int]
    width: int
    height: int
    decoder: str
    engine: str
    embeddings: NDArray[np.float32] | None = None
    seen: NDArray[np.uint8] | None = None
    tracked: NDArray[np.uint8] | None = None
    spreads: NDArray[np.float32] | None = None
    motions: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        """Check the types and shapes of the arrays."""
        for name, (dtype, shape) in _ARRAYS.items():
            array = getattr(self, name)
            if array is None and name in _OPTIONAL:
                continue
            expected = (len(self.reasons), *shape)
            if array.dtype != np.dtype(dtype) or array.shape != expected:
                raise ValueError(f"Expected {name} {dtype} {expected}. Received {array.dtype} {array.shape}.")
        if self.reasons.size and self.reasons.max() >= len(REASONS):
            raise ValueError(f"Expected reasons below {len(REASONS)}. Received {self.reasons.max()}.")

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.reasons)

    @property
    def found(self) -> NDArray[np.bool_]:
        """Whether the subject's face was found in each frame, bool [n]."""
        return np.equal(self.reasons, FOUND)

    @property
    def share(self) -> float:
        """Share of the frames with the subject's face, without excluded frames; 0 if there are no others."""
        return int(self.found.sum()) / max(1, int((self.reasons != EXCLUDED).sum()))

    def missing(self) -> dict[str, int]:
        """Return the number of frames without a face for each reason, in the order of `REASONS`."""
        counts = Counter(self.reasons.tolist())
        return {name: counts[value] for value, name in enumerate(REASONS) if value != FOUND and counts[value]}

    def take(self, frames: Sequence[int]) -> Alignments:
        """Return the alignments of the given frames only, in the given order."""
        rows = list(frames)
        return replace(
            self,
            boxes=self.boxes[rows],
            landmarks=self.landmarks[rows],
            matrices=self.matrices[rows],
            reasons=self.reasons[rows],
            frame_digests=self.frame_digests[rows],
            crop_digests=self.crop_digests[rows],
            embeddings=None if self.embeddings is None else self.embeddings[rows],
            seen=None if self.seen is None else self.seen[rows],
            tracked=None if self.tracked is None else self.tracked[rows],
            spreads=None if self.spreads is None else self.spreads[rows],
            motions=None if self.motions is None else self.motions[rows],
        )

    def content_digest(self) -> str:
        """Return the SHA-256 of frames, reasons, boxes, landmarks and crops, however they are divided into parts."""
        digest = hashlib.sha256(f"{_FORMAT} {self.width}x{self.height} {self.frame_rate}".encode())
        for array in (self.frame_digests, self.reasons, self.boxes, self.landmarks, self.crop_digests):
            digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()

    def to_bytes(self) -> bytes:
        """Encode as a safetensors file. Equal alignments give equal bytes."""
        tensors = {name: getattr(self, name) for name in _ARRAYS if getattr(self, name) is not None}
        facts = {
            "format": _FORMAT_WITH_EXCLUDED if (self.reasons == EXCLUDED).any() else _FORMAT,
            "frame_rate": list(self.frame_rate),
            "width": self.width,
            "height": self.height,
            "decoder": self.decoder,
            "engine": self.engine,
        }
        # One metadata entry, because safetensors does not keep the order of several and the bytes are hashed.
        contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
        return bytes(safetensors.numpy.save(contiguous, metadata={"facefoundry": json.dumps(facts, sort_keys=True)}))

    @classmethod
    def from_bytes(cls, data: bytes) -> Alignments:
        """Decode what `to_bytes` returned.

        Raises:
            DataLoss: the bytes are not alignments (BAD_ALIGNMENTS).
            Unusable: a newer version of FaceFoundry wrote them (NEWER_FORMAT).
        """
        try:
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            facts = json.loads(header["__metadata__"]["facefoundry"])
            refuse_newer(facts["format"], _FORMAT_WITH_EXCLUDED)
            if facts["format"] not in (_FORMAT, _FORMAT_WITH_EXCLUDED):
                raise ValueError(f"Expected format {_FORMAT_WITH_EXCLUDED}. Received {facts['format']!r}.")
            tensors = safetensors.numpy.load(data)
            return cls(
                boxes=tensors["boxes"],
                landmarks=tensors["landmarks"],
                matrices=tensors["matrices"],
                reasons=tensors["reasons"],
                frame_digests=tensors["frame_digests"],
                crop_digests=tensors["crop_digests"],
                frame_rate=(int(facts["frame_rate"][0]), int(facts["frame_rate"][1])),
                width=facts["width"],
                height=facts["height"],
                decoder=facts["decoder"],
                engine=facts["engine"],
                embeddings=tensors.get("embeddings"),
                seen=tensors.get("seen"),
                tracked=tensors.get("tracked"),
                spreads=tensors.get("spreads"),
                motions=tensors.get("motions"),
            )
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, safetensors.SafetensorError) as error:
            message = f"Expected alignments as safetensors. Received {len(data)} bytes of something else: {error}"
            raise DataLoss(message, reason="BAD_ALIGNMENTS") from error

    def to_faceswap(self, names: Sequence[str]) -> dict[str, list[JsonObject]]:
        """Convert to faceswap's 2018 format, `{"<frame file>": [{"r", "x", "w", "y", "h", "landmarksXY"}]}`.

        Args:
            names: File name of every frame. Frames without a face get an empty list.

        Returns:
            The JSON object; coordinates without a fraction are integers.
        """
        if len(names) != len(self):
            raise ValueError(f"Expected {len(self)} names. Received {len(names)}.")
        record: dict[str, list[JsonObject]] = {}
        for index, name in enumerate(names):
            x, y, width, height = self.boxes[index].tolist()
            points: JsonValue = [[_plain(value) for value in point] for point in self.landmarks[index].tolist()]
            face: JsonObject = {"r": 0, "x": x, "w": width, "y": y, "h": height, "landmarksXY": points}
            record[name] = [face] if self.reasons[index] == FOUND else []
        return record


def concatenate(parts: Sequence[Alignments]) -> Alignments:
    """Join the alignments of consecutive parts of one sequence.

    Raises:
        ValueError: there is no part, only some parts have an optional array, or the parts differ in frame size, frame
            rate, decoder or engine.
    """
    if not parts:
        raise ValueError("Expected the alignments of at least one part. Received none.")
    names = [field.name for field in fields(Alignments) if field.name not in _ARRAYS]
    facts = {tuple(getattr(part, name) for name in names) for part in parts}
    if len(facts) > 1:
        raise ValueError(f"Expected parts of one sequence. Received {sorted(facts)}.")
    return replace(
        parts[0],
        boxes=np.concatenate([part.boxes for part in parts]),
        landmarks=np.concatenate([part.landmarks for part in parts]),
        matrices=np.concatenate([part.matrices for part in parts]),
        reasons=np.concatenate([part.reasons for part in parts]),
        frame_digests=np.concatenate([part.frame_digests for part in parts]),
        crop_digests=np.concatenate([part.crop_digests for part in parts]),
        embeddings=_joined("embeddings", [part.embeddings for part in parts]),
        seen=_joined("seen", [part.seen for part in parts]),
        tracked=_joined("tracked", [part.tracked for part in parts]),
        spreads=_joined("spreads", [part.spreads for part in parts]),
        motions=_joined("motions", [part.motions for part in parts]),
    )


def _joined(name: str, arrays: Sequence[NDArray[T] | None]) -> NDArray[T] | None:
    """Join the arrays of all parts; None if no part has one."""
    given = [array for array in arrays if array is not None]
    if given and len(given) != len(arrays):
        raise ValueError(f"Expected {name} in every part or in none. Received {len(given)} of {len(arrays)}.")
    return np.concatenate(given) if given else None


@dataclass(frozen=True)
class _FaceswapFace:
    """A face in faceswap's 2018 format: rotation of the frame in degrees, box and landmarks."""

    r: int
    x: int
    y: int
    w: int
    h: int
    landmarksXY: tuple[tuple[float, float], ...]  # noqa: N815 - faceswap's name


def from_faceswap(
    record: Mapping[str, Sequence[object]], *, frame_rate: tuple[int, int], width: int, height: int
) -> Alignments:
    """Read alignments in faceswap's 2018 format. The first face of each frame is taken as the subject's.

    Args:
        record: The parsed JSON file. Frames are ordered by the number at the end of their names.
        frame_rate: Frames per second of the sequence, as numerator and denominator.
        width: Width of the frames, pixels.
        height: Height of the frames, pixels.

    Returns:
        Alignments whose digests are 0; the matrices are computed from the landmarks.

    Raises:
        InvalidInput: the record has another format; the message names the frame (BAD_ALIGNMENTS).
    """
    n = len(record)
    boxes, landmarks = np.zeros((n, 4), np.int32), np.zeros((n, 68, 2), np.float32)
    reasons = np.full(n, NO_FACE, np.uint8)
    for index, name in enumerate(sorted(record, key=_in_order)):
        try:
            if record[name]:
                face = from_json(_FaceswapFace, json.dumps(record[name][0]))
                if face.r:
                    raise ValueError(f"r={face.r}: the frame was rotated for detection, which is not supported")
                boxes[index] = face.x, face.y, face.w, face.h
                landmarks[index] = np.array(face.landmarksXY, np.float32).reshape(68, 2)
                reasons[index] = FOUND
        except (DataLoss, KeyError, TypeError, ValueError) as error:
            message = f"Expected faceswap's 2018 format (r, x, y, w, h, landmarksXY) in frame {name!r}: {error}."
            raise InvalidInput(message, reason="BAD_ALIGNMENTS") from error
    matrices = np.nan_to_num(similarity(landmarks[:, FIRST_LANDMARK:], MEAN_FACE), nan=0.0)
    nothing = np.zeros(n, np.uint64)
    facts = (frame_rate, width, height, "", "faceswap-2018")
    return Alignments(boxes, landmarks, matrices, reasons, nothing, nothing, *facts)


def _in_order(name: str) -> tuple[int, str]:
    """Return the sort key of a frame's file name: the number at its end, so that 10.png comes after 9.png."""
    number = re.search(r"[0-9]+$", PurePath(name).stem)
    return int(number.group()) if number else -1, name


def _plain(value: float) -> int | float:
    return int(value) if value.is_integer() else value
