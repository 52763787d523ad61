"""What the sandbox child runs: a source's frames through engine, tracking and crop, into part files.

Everything here is local: files in, files out, JSON values as messages. The service does all object storage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry import archive
from facefoundry.errors import DataLoss, Unusable
from facefoundry.faces import alignments, crop, face_tar
from facefoundry.faces.alignments import BAD_LANDMARKS, FOUND, NO_FACE, Alignments
from facefoundry.media.read import DECODER, MediaInfo, Source, frame_digest, open_source
from services.extractor import engines
from services.extractor.boxes import truncate_box
from services.extractor.identity import FaceEmbedder
from services.extractor.tracking import Subject

__all__ = ["PART_FRAMES", "extract", "inspect"]

PART_FRAMES: Final = 500
"""Frames of one part; detection starts anew at a part's first frame."""

_PROGRESS_FRAMES: Final = 10
_SAMPLES: Final = 6
_SAMPLE_WIDTH: Final = 480


def extract(
    *,
    source: Sequence[str],
    folder: str,
    options: Mapping[str, Any],
    name: str = "the source",
    done: Sequence[Sequence[str]] = (),
    weights_dir: str | None = None,
    frame_rate: Sequence[int] | None = None,
    part_frames: int = PART_FRAMES,
) -> Iterator[dict[str, Any]]:
    """Extract a source.

    Args:
        source: The video file, the folder of frames, or tars of frames.
        folder: Where part files are written.
        options: Fields of `v1.ExtractionOptions`, all set.
        name: What messages call the sequence.
        done: Faces file and alignments file of each part that is finished already, from the first on. Their frames are
            decoded and compared, not searched again; pairs that do not belong together or that are of another decoder,
            engine or size are not used, nor those behind them.
        weights_dir: Folder of weights, for engines that need one.
        frame_rate: Numerator and denominator, for sources that do not say it themselves.
        part_frames: Frames of one part.

    Yields:
        First `{"resumed": k}`, the number of finished parts that are used; then `{"progress": {"done", "total"}}` in
        frames, total 0 while unknown, and `{"part": name, "path": path}` for each finished part file; last
        `{"extraction": {...}, "versions": {...}}` with the fields of `v1.Extraction`.

    Raises:
        Unusable: the source cannot be read, or no frame of it has a face (`NO_FACE_FOUND`).
        InvalidInput: the engine is not installed here.
        DataLoss: frames differ from those that finished parts were made of.
    """
    engines.require_landmarks(options["engine"])
    engine = _engine(options["engine"], weights_dir)
    with _open(source, frame_rate) as opened:
        pieces = _usable(done, opened.info, engine.build, part_frames)
        yield {"resumed": len(pieces)}
        work = _Work(engine, options, Path(folder), opened.info, part_frames, pieces)
        total = opened.info.frame_count or 0
        for index, frame in enumerate(opened):
            yield from work.add(index, frame)
            if index % _PROGRESS_FRAMES == 0:
                yield {"progress": {"done": index + 1, "total": total}}
        yield from work.finish(name)


def inspect(
    *,
    source: Sequence[str],
    sample_frames: int,
    engine: str,
    weights_dir: str | None = None,
    frame_rate: Sequence[int] | None = None,
) -> Iterator[dict[str, Any]]:
    """Look at a source; yields one message, `{"inspection": {...}}` with the fields of `v1.InspectResponse`.

    Args:
        source: As in `extract`.
        sample_frames: How many evenly spaced frames to search for faces.
        engine: Name of the engine for the search.
        weights_dir: As in `extract`.
        frame_rate: As in `extract`.
    """
    with _open(source, frame_rate) as opened:
        info = opened.info
        frame_count = opened.count() if info.frame_count is None else info.frame_count
        samples = []
        if sample_frames:
            finder = _engine(engine, weights_dir)
            wanted = set(np.linspace(0, frame_count - 1, min(sample_frames, frame_count)).round().astype(int).tolist())
            for index, frame in enumerate(opened):
                if index in wanted:
                    samples.append({"frame": index, "faces": len(finder.detect(frame))})
        yield {
            "inspection": {
                "frame_count": frame_count,
                "frame_rate": {"numerator": info.frame_rate[0], "denominator": info.frame_rate[1]},
                "width": info.width,
                "height": info.height,
                "rotation": info.rotation,
                "codec": info.codec,
                "samples": samples,
            }
        }


@cache
def _engine(name: str, weights_dir: str | None) -> engines.Engine:
    """An engine, loaded once in a child's life."""
    return engines.load(name, Path(weights_dir) if weights_dir else None)


@cache
def _identity() -> FaceEmbedder:
    return FaceEmbedder()


def _open(source: Sequence[str], frame_rate: Sequence[int] | None) -> Source:
    return open_source(
        [Path(path) for path in source], frame_rate=(frame_rate[0], frame_rate[1]) if frame_rate else None
    )


@dataclass
class _Piece:
    """Rows of one part as they grow."""

    info: MediaInfo
    engine: str
    reasons: list[int] = field(default_factory=list)
    boxes: list[NDArray[np.int32]] = field(default_factory=list)
    landmarks: list[NDArray[np.float32]] = field(default_factory=list)
    matrices: list[NDArray[np.float64]] = field(default_factory=list)
    frame_digests: list[int] = field(default_factory=list)
    crop_digests: list[int] = field(default_factory=list)
    embeddings: list[NDArray[np.float32]] = field(default_factory=list)

    def add(self, digest: int, reason: int, face: _Face | None) -> None:
        self.frame_digests.append(digest)
        self.reasons.append(reason)
        self.boxes.append(face.box if face else np.zeros(4, np.int32))
        self.landmarks.append(face.landmarks if face else np.zeros((68, 2), np.float32))
        self.matrices.append(face.matrix if face else np.zeros((2, 3)))
        self.crop_digests.append(frame_digest(face.crop) if face else 0)
        self.embeddings.append(face.embedding if face else np.zeros(128, np.float32))

    def alignments(self, identity: bool) -> Alignments:
        return Alignments(
            boxes=np.array(self.boxes, np.int32).reshape(-1, 4),
            landmarks=np.array(self.landmarks, np.float32).reshape(-1, 68, 2),
            matrices=np.array(self.matrices, np.float64).reshape(-1, 2, 3),
            reasons=np.array(self.reasons, np.uint8),
            frame_digests=np.array(self.frame_digests, np.uint64),
            crop_digests=np.array(self.crop_digests, np.uint64),
            frame_rate=self.info.frame_rate,
            width=self.info.width,
            height=self.info.height,
            decoder=DECODER,
            engine=self.engine,
            embeddings=np.array(self.embeddings, np.float32).reshape(-1, 128) if identity else None,
        )


@dataclass(frozen=True)
class _Face:
    """One face of one frame."""

    box: NDArray[np.int32]
    landmarks: NDArray[np.float32]
    matrix: NDArray[np.float64]
    crop: NDArray[np.uint8]
    embedding: NDArray[np.float32]


def _usable(done: Sequence[Sequence[str]], info: MediaInfo, engine: str, part_frames: int) -> list[Alignments]:
    """Finished pieces that today's decoder and engine would make again, up to the first that they would not."""
    pieces: list[Alignments] = []
    for faces_path, path in done:
        try:
            piece = Alignments.from_bytes(Path(path).read_bytes())
            frames, crops = face_tar.unpack(Path(faces_path).read_bytes())
        except DataLoss:
            break
        facts = (piece.decoder, piece.engine, piece.frame_rate, piece.width, piece.height, len(piece))
        rows = np.flatnonzero(piece.found)
        together = (
            facts == (DECODER, engine, info.frame_rate, info.width, info.height, part_frames)
            and np.array_equal(frames, rows + len(pieces) * part_frames)
            and [frame_digest(picture) for picture in crops] == piece.crop_digests[rows].tolist()
        )
        if not together:
            break
        pieces.append(piece)
    return pieces


class _Work:
    """One extraction under way: takes frames in order, gives messages."""

    def __init__(
        self,
        engine: engines.Engine,
        options: Mapping[str, Any],
        folder: Path,
        info: MediaInfo,
        part_frames: int,
        pieces: list[Alignments],
    ) -> None:
        self._engine = engine
        self._options = options
        self._folder = folder
        self._info = info
        self._part_frames = part_frames
        self._done = len(pieces)
        self._pieces = pieces
        self._piece = _Piece(info, engine.build)
        self._crops: dict[int, NDArray[np.uint8]] = {}
        self._subject = Subject(engine, options["detect_every"])
        self._identity = _identity() if options["identity"] else None
        self._samples = _Samples()

    def add(self, index: int, frame: NDArray[np.uint8]) -> Iterator[dict[str, Any]]:
        """Work on the next frame; yields the messages of a part that it ended."""
        part, row = divmod(index, self._part_frames)
        digest = frame_digest(frame)
        if part < self._done:
            if digest != int(self._pieces[part].frame_digests[row]):
                message = f"Frame {index} is not the one that finished part {part} was made of; delete the extraction."
                raise DataLoss(message, reason="FRAME_DIGEST_MISMATCH")
            found = bool(self._pieces[part].found[row])
        else:
            if row == 0:
                self._subject.restart(_last_box(self._pieces))
            reason, face = self._look(frame)
            self._piece.add(digest, reason, face)
            if face is not None:
                self._crops[index] = face.crop
            found = face is not None
        if found:
            self._samples.offer(index, frame)
        if part >= self._done and row == self._part_frames - 1:
            yield from self._end_part()

    def finish(self, name: str) -> Iterator[dict[str, Any]]:
        """End the last part and yield the whole.

        Raises:
            Unusable: no frame had a face.
        """
        if self._piece.reasons:
            yield from self._end_part()
        whole = alignments.concatenate(self._pieces)
        if not whole.found.any():
            message = f"No face was found in any of the {len(whole)} frames of {name}."
            raise Unusable(message, reason="NO_FACE_FOUND", metadata={"frames": str(len(whole))}, resource=name)
        yield self._part("samples.tar", self._samples.archive())
        yield self._part("alignments.safetensors", whole.to_bytes())
        yield {"progress": {"done": len(whole), "total": len(whole)}}
        yield {
            "extraction": {
                "content_digest": whole.content_digest(),
                "frame_count": len(whole),
                "face_count": int(whole.found.sum()),
                "missing": [{"reason": reason, "frames": frames} for reason, frames in whole.missing().items()],
                "frame_rate": {"numerator": whole.frame_rate[0], "denominator": whole.frame_rate[1]},
                "width": whole.width,
                "height": whole.height,
                "engine": self._options["engine"],
            },
            "versions": {"decoder": DECODER, "engine": self._engine.build},
        }

    def _look(self, frame: NDArray[np.uint8]) -> tuple[int, _Face | None]:
        """The subject's face in a frame, or why there is none."""
        found = self._subject.follow(frame)
        if found is None:
            return NO_FACE, None
        # The origin truncates the box before the landmarks and the landmarks before the matrix.
        whole_pixels = self._options["integer_landmarks"]
        box = truncate_box(found) if whole_pixels else found
        landmarks = self._engine.landmarks(frame, box)
        landmarks = np.trunc(landmarks) if whole_pixels else landmarks
        matrix = crop.face_matrix(landmarks)
        if not (np.isfinite(matrix).all() and np.linalg.det(matrix[:, :2]) > 0):
            return BAD_LANDMARKS, None
        picture = crop.cut(frame, matrix, self._options["crop_size"], self._options["padding"])
        embedding = self._identity.embed(frame, landmarks) if self._identity else np.zeros(128, np.float32)
        return FOUND, _Face(truncate_box(box).astype(np.int32), landmarks, matrix, picture, embedding)

    def _end_part(self) -> Iterator[dict[str, Any]]:
        number = len(self._pieces)
        piece = self._piece.alignments(identity=self._identity is not None)
        yield self._part(f"faces-{number:05d}.tar", face_tar.pack(self._crops))
        yield self._part(f"alignments-{number:05d}.safetensors", piece.to_bytes())
        self._pieces.append(piece)
        self._piece = _Piece(self._info, self._engine.build)
        self._crops = {}

    def _part(self, name: str, data: bytes) -> dict[str, Any]:
        path = self._folder / name
        path.write_bytes(data)
        return {"part": name, "path": str(path)}


def _last_box(pieces: Sequence[Alignments]) -> NDArray[np.int32] | None:
    """The last box known in finished parts, as recorded: all that the next part depends on."""
    for piece in reversed(pieces):
        rows = np.flatnonzero(piece.found)
        if rows.size:
            return np.asarray(piece.boxes[rows[-1]], dtype=np.int32)
    return None


class _Samples:
    """Small pictures of a few frames, evenly spread over those with faces, chosen in one pass."""

    def __init__(self) -> None:
        self._kept: dict[int, bytes] = {}
        self._seen = 0
        self._every = 1

    def offer(self, index: int, frame: NDArray[np.uint8]) -> None:
        """Keep every n-th frame with a face; when twice too many are kept, every second goes and n doubles."""
        if self._seen % self._every == 0:
            self._kept[index] = _jpeg(frame)
            if len(self._kept) > 2 * _SAMPLES:
                self._kept = dict(list(self._kept.items())[::2])
                self._every *= 2
        self._seen += 1

    def archive(self) -> bytes:
        """The samples as a tar of `<frame:06d>.jpg`."""
        frames = list(self._kept)
        chosen = np.linspace(0, len(frames) - 1, min(_SAMPLES, len(frames))).round().astype(int)
        return archive.pack({f"{frames[place]:06d}.jpg": self._kept[frames[place]] for place in chosen})


def _jpeg(frame: NDArray[np.uint8]) -> bytes:
    height, width = frame.shape[:2]
    if width > _SAMPLE_WIDTH:
        size = (_SAMPLE_WIDTH, max(1, round(height * _SAMPLE_WIDTH / width)))
        frame = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return bytes(cv2.imencode(".jpg", frame, (cv2.IMWRITE_JPEG_QUALITY, 90))[1].tobytes())
