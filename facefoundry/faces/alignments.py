"""What an extraction knows of every frame, as arrays and as two file forms: safetensors and faceswap's 2018 JSON."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import PurePath
from typing import Any, Final

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from facefoundry.errors import DataLoss, InvalidInput
from facefoundry.faces.mean_face import FIRST_LANDMARK, MEAN_FACE
from facefoundry.faces.umeyama import similarity

__all__ = ["BAD_LANDMARKS", "FOUND", "NO_FACE", "REASONS", "Alignments", "concatenate", "from_faceswap"]

FOUND: Final = 0
"""The subject's face is there."""
NO_FACE: Final = 1
"""The detector found no face in the frame."""
BAD_LANDMARKS: Final = 2
"""A face was found, but its landmarks coincide or are not finite, so that no crop can be cut."""
REASONS: Final = ("FOUND", "NO_FACE", "BAD_LANDMARKS")
"""Names of the values of `Alignments.reasons`."""

_FORMAT: Final = "facefoundry.alignments/1"
_ARRAYS: Final[dict[str, tuple[str, tuple[int, ...]]]] = {
    "boxes": ("int32", (4,)),
    "landmarks": ("float32", (68, 2)),
    "matrices": ("float64", (2, 3)),
    "reasons": ("uint8", ()),
    "frame_digests": ("uint64", ()),
    "crop_digests": ("uint64", ()),
    "embeddings": ("float32", (128,)),
}


@dataclass(frozen=True)
class Alignments:
    """Faces of n consecutive frames. Rows of frames without a face are zero but for `reasons` and `frame_digests`.

    Attributes:
        boxes: int32 [n, 4], x, y, width, height in frame pixels.
        landmarks: float32 [n, 68, 2], (x, y) in frame pixels.
        matrices: float64 [n, 2, 3], frame to the mean face's unit square.
        reasons: uint8 [n], 0 where the face was found, else an index of `REASONS`.
        frame_digests: uint64 [n], digests of the decoded frames.
        crop_digests: uint64 [n], digests of the crops' pixels.
        frame_rate: Frames per second as numerator and denominator.
        width: Of the frames, pixels.
        height: Of the frames, pixels.
        decoder: Build that decoded the frames.
        engine: Build that found the faces.
        embeddings: float32 [n, 128] identity embeddings, or None when they were not asked for.
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

    def __post_init__(self) -> None:
        """Check shapes and types."""
        for name, (dtype, shape) in _ARRAYS.items():
            array = getattr(self, name)
            if array is None and name == "embeddings":
                continue
            expected = (len(self.reasons), *shape)
            if array.dtype != np.dtype(dtype) or array.shape != expected:
                raise ValueError(f"Expected {name} {dtype} {expected}. Received {array.dtype} {array.shape}.")
        if self.reasons.size and self.reasons.max() >= len(REASONS):
            raise ValueError(f"Expected reasons below {len(REASONS)}. Received {self.reasons.max()}.")

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.reasons)

    @property
    def found(self) -> NDArray[np.bool_]:
        """Mask bool [n], True where the subject's face was found."""
        return np.equal(self.reasons, FOUND)

    def missing(self) -> dict[str, int]:
        """Count the frames without a face by reason, in the order of `REASONS`."""
        counts = Counter(self.reasons.tolist())
        return {name: counts[value] for value, name in enumerate(REASONS) if value != FOUND and counts[value]}

    def take(self, frames: Sequence[int]) -> Alignments:
        """The rows of some frames, in the order given."""
        rows = list(frames)
        arrays: dict[str, Any] = {name: getattr(self, name) for name in _ARRAYS if getattr(self, name) is not None}
        return replace(self, **{name: array[rows] for name, array in arrays.items()})

    def content_digest(self) -> str:
        """SHA-256 over decoded frames, boxes, landmarks and crops; the same for any division into parts."""
        digest = hashlib.sha256(f"{_FORMAT} {self.width}x{self.height} {self.frame_rate}".encode())
        for array in (self.frame_digests, self.reasons, self.boxes, self.landmarks, self.crop_digests):
            digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()

    def to_bytes(self) -> bytes:
        """Write as safetensors; equal alignments give equal bytes."""
        tensors = {name: getattr(self, name) for name in _ARRAYS if getattr(self, name) is not None}
        facts = {
            "format": _FORMAT,
            "frame_rate": list(self.frame_rate),
            "width": self.width,
            "height": self.height,
            "decoder": self.decoder,
            "engine": self.engine,
        }
        # One metadata entry: the order of several is not defined, and the bytes are hashed.
        contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
        return bytes(safetensors.numpy.save(contiguous, metadata={"facefoundry": json.dumps(facts, sort_keys=True)}))

    @classmethod
    def from_bytes(cls, data: bytes) -> Alignments:
        """Read what `to_bytes` wrote.

        Raises:
            DataLoss: these bytes are something else.
        """
        try:
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            facts = json.loads(header["__metadata__"]["facefoundry"])
            if facts["format"] != _FORMAT:
                raise ValueError(f"Expected format {_FORMAT}. Received {facts['format']!r}.")
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
            )
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, safetensors.SafetensorError) as error:
            message = f"Expected alignments. Received {len(data)} other bytes: {error}"
            raise DataLoss(message, reason="BAD_ALIGNMENTS") from error

    def to_faceswap(self, names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """Give faceswap's 2018 form, `{"<frame file>": [{"r", "x", "w", "y", "h", "landmarksXY"}]}`.

        Args:
            names: File name of every frame. Frames without a face get an empty list.

        Returns:
            JSON values; landmarks are integers where they have no fractions.
        """
        if len(names) != len(self):
            raise ValueError(f"Expected {len(self)} names. Received {len(names)}.")
        record: dict[str, list[dict[str, Any]]] = {}
        for index, name in enumerate(names):
            x, y, width, height = self.boxes[index].tolist()
            points = [[_plain(value) for value in point] for point in self.landmarks[index].tolist()]
            face = {"r": 0, "x": x, "w": width, "y": y, "h": height, "landmarksXY": points}
            record[name] = [face] if self.reasons[index] == FOUND else []
        return record


def concatenate(pieces: Sequence[Alignments]) -> Alignments:
    """Join consecutive pieces of one sequence.

    Raises:
        ValueError: there is no piece, or the pieces differ in size, rate, decoder or engine.
    """
    if not pieces:
        raise ValueError("Expected at least one piece of alignments.")
    names = [field.name for field in fields(Alignments) if field.name not in _ARRAYS]
    facts = {tuple(getattr(piece, name) for name in names) for piece in pieces}
    if len(facts) > 1:
        raise ValueError(f"Expected pieces of one sequence. Received {sorted(facts)}.")
    embeddings = [piece.embeddings for piece in pieces if piece.embeddings is not None]
    if embeddings and len(embeddings) != len(pieces):
        raise ValueError("Expected embeddings in every piece or in none.")
    return replace(
        pieces[0],
        boxes=np.concatenate([piece.boxes for piece in pieces]),
        landmarks=np.concatenate([piece.landmarks for piece in pieces]),
        matrices=np.concatenate([piece.matrices for piece in pieces]),
        reasons=np.concatenate([piece.reasons for piece in pieces]),
        frame_digests=np.concatenate([piece.frame_digests for piece in pieces]),
        crop_digests=np.concatenate([piece.crop_digests for piece in pieces]),
        embeddings=np.concatenate(embeddings) if embeddings else None,
    )


def from_faceswap(record: Mapping[str, Any], *, frame_rate: tuple[int, int], width: int, height: int) -> Alignments:
    """Read faceswap's 2018 form; the first face of a frame is the subject's, frames go by the number in their name.

    Args:
        record: The parsed JSON file.
        frame_rate: Of the sequence, as the file does not say it.
        width: Of the frames, pixels.
        height: Of the frames, pixels.

    Returns:
        Alignments without digests; matrices are computed from the landmarks.

    Raises:
        InvalidInput: the record has another form; names the frame.
    """
    n = len(record)
    boxes, landmarks = np.zeros((n, 4), np.int32), np.zeros((n, 68, 2), np.float32)
    reasons = np.full(n, NO_FACE, np.uint8)
    for index, name in enumerate(sorted(record, key=_in_order)):
        try:
            if record[name]:
                face = record[name][0]
                if face["r"]:
                    raise ValueError(f"r={face['r']!r}, the face of a turned frame, which nothing here can turn back")
                boxes[index] = [face[key] for key in ("x", "y", "w", "h")]
                landmarks[index] = np.array(face["landmarksXY"], np.float32).reshape(68, 2)
                reasons[index] = FOUND
        except (KeyError, TypeError, ValueError, IndexError) as error:
            message = f"Expected faceswap's 2018 form (r, x, y, w, h, landmarksXY) in frame {name!r}: {error!r}."
            raise InvalidInput(message, reason="BAD_ALIGNMENTS") from error
    matrices = np.nan_to_num(similarity(landmarks[:, FIRST_LANDMARK:], MEAN_FACE), nan=0.0)
    nothing = np.zeros(n, np.uint64)
    facts = (frame_rate, width, height, "", "faceswap-2018")
    return Alignments(boxes, landmarks, matrices, reasons, nothing, nothing, *facts)


def _in_order(name: str) -> tuple[int, str]:
    """Sorts frames as the reader of folders does, so that 10.png comes after 9.png."""
    number = re.search(r"[0-9]+$", PurePath(name).stem)
    return int(number.group()) if number else -1, name


def _plain(value: float) -> int | float:
    return int(value) if value.is_integer() else value
