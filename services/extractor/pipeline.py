"""The work of the extractor's sandboxes: find, track, align and crop faces, and write them as parts.

It reads and writes local files alone; the parent process fetches and stores them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from facefoundry.errors import DataLoss, InvalidInput, Unusable
from facefoundry.faces import alignments, crop, face_tar
from facefoundry.faces.alignments import BAD_LANDMARKS, DAMAGED, EXCLUDED, FOUND, NOT_SEARCHED, Alignments
from facefoundry.media.read import DECODER, MediaInfo, ReadLimits, Source, frame_digest, open_source
from facefoundry.recipes import ranges
from facefoundry.storage.info import ExtractionInfo, FrameRate, ReasonCount
from facefoundry.storage.parts import ALIGNMENTS, ALIGNMENTS_OF_FACES, FACES, SAMPLES
from facefoundry.work.messages import Message, PartsReady, Progress, Result, Resumed
from facefoundry.work.workspace import Workspace
from services.extractor import doubts, engines, scan
from services.extractor.boxes import Box, truncate_box
from services.extractor.engines import Engine
from services.extractor.functions import ClipArgs, ExtractArgs, InspectArgs, Inspection
from services.extractor.identity import FaceEmbedder
from services.extractor.inspection import SeenFaces
from services.extractor.person import FaceViews, Person, pick_centre
from services.extractor.rows import Face, Rows, last_box, read_finished
from services.extractor.samples import Samples
from services.extractor.spread import Spreads
from services.extractor.tracking import Frame, Sighting, Subject

__all__ = ["extract", "inspect", "load_engine", "prepare"]

_PROGRESS_FRAMES: Final = 10
_INSPECT_FRAMES: Final = 100


@cache
def load_engine(name: str, weights_dir: Path | None) -> Engine:
    """Load an engine with its weights; a process loads each engine only once."""
    return engines.load(name, weights_dir)


@cache
def _load_embedder() -> FaceEmbedder:
    return FaceEmbedder()


def prepare(arguments: ExtractArgs | InspectArgs) -> None:
    """Load what the processes of later calls share: the engine, if it can be loaded before a fork, and the embedder."""
    engine = arguments.options.engine if isinstance(arguments, ExtractArgs) else arguments.engine
    if engines.find(engine).fork_safe:
        load_engine(engine, arguments.weights_dir)
    if isinstance(arguments, ExtractArgs) and FaceEmbedder.installed():
        _load_embedder()


LoadEngine = Callable[[str, Path | None], Engine]


def extract(
    arguments: ExtractArgs, workspace: Workspace, load: LoadEngine = load_engine
) -> Iterator[Message[ExtractionInfo]]:
    """Extract a clip.

    An extraction that was interrupted resumes after its finished parts. Their frames are decoded and compared by
    digest, but not searched for faces again. Parts are made again from the first one on that is missing, damaged, or
    was made with another decoder, engine, frame size or part length.

    Args:
        arguments: The clip and the options.
        workspace: Folders in which files are read and written.
        load: Loads an engine by its name and folder of weights.

    Yields:
        `Resumed` with the finished parts that are kept, then `Progress` and `PartsReady` messages, and last the
        `Result`.

    Raises:
        Unusable: the clip cannot be read, or no frame of it has a face (`NO_FACE_FOUND`), or too few have one
            (`FEW_FACES`).
        InvalidInput: the engine is not installed here, or does not predict the landmarks of extractions.
        DataLoss: frames of the clip differ from the frames that finished parts were made of.
        InvalidInput: the subject is not where the request names it (SUBJECT_NOT_FOUND), or the request excludes frames
            beyond the end of the clip (EXCLUDED_FRAMES).
    """
    engines.require_landmarks(arguments.options.engine)
    engine = load(arguments.options.engine, arguments.weights_dir)
    with _open(arguments, workspace) as source:
        finished = read_finished(workspace, source.info, engine.build, arguments.part_frames)
        yield Resumed(tuple(name for number in range(len(finished)) for name in _names(number)))
        extraction = _Extraction(engine, arguments, workspace, source.info, finished)
        extraction.find_person()
        total = source.info.frame_count or 0
        for index, frame in enumerate(source):
            unused = DAMAGED if index in source.damaged else EXCLUDED if extraction.excludes(index) else None
            yield from extraction.add(index, frame, unused)
            if index % _PROGRESS_FRAMES == 0:
                yield Progress("extract", index + 1, total)
        yield from extraction.finish()


def inspect(
    arguments: InspectArgs, workspace: Workspace, load: LoadEngine = load_engine
) -> Iterator[Message[Inspection]]:
    """Read a clip's properties, and count the faces in some of its frames; arguments as in `extract`.

    Yields:
        Progress while a video's frames are counted, and last the result.

    Raises:
        Unusable: the clip cannot be read.
        InvalidInput: the engine is not installed here.
    """
    with _open(arguments, workspace, ReadLimits(max_total=arguments.max_total)) as source:
        info = source.info
        frame_count = info.frame_count or 0
        if info.frame_count is None:
            for frame_count in source.counting():
                if frame_count % _INSPECT_FRAMES == 0:
                    yield Progress("inspect", frame_count, 0)
        seen = SeenFaces()
        if arguments.sample_frames:
            engine = load(arguments.engine, arguments.weights_dir)
            landmarks = engine.landmarks if engines.has_landmarks(arguments.engine) else None
            count = min(arguments.sample_frames, frame_count)
            chosen = set(np.linspace(0, frame_count - 1, count).round().astype(int).tolist())
            for index, frame in enumerate(source):
                seen.pass_by(index, frame)
                if index in chosen:
                    seen.search(index, frame, engine.detect(frame), landmarks)
        yield Result(
            Inspection(
                frame_count=frame_count,
                frame_rate=FrameRate(*info.frame_rate),
                width=info.width,
                height=info.height,
                rotation=info.orientation.rotation,
                codec=info.codec,
                samples=seen.samples,
                mirrored=info.orientation.mirrored,
                rate_basis=info.rate_basis,
                stated_frame_rate=_stated(info),
                remarks=info.remarks(),
                damaged_count=len(source.damaged),
                warnings=seen.warnings(),
                cuts=seen.cuts,
            )
        )


def _open(arguments: ClipArgs, workspace: Workspace, limits: ReadLimits | None = None) -> Source:
    paths = [workspace.input(name) for name in arguments.clip_files]
    rate, tolerates = arguments.frame_rate, arguments.tolerate_damage
    return open_source(paths, frame_rate=rate, tolerate_damage=tolerates, limits=limits)


def _stated(info: MediaInfo) -> FrameRate | None:
    return FrameRate(*info.stated_rate) if info.stated_rate else None


def _names(number: int) -> tuple[str, str]:
    return FACES.name(number), ALIGNMENTS_OF_FACES.name(number)


class _Extraction:
    """Extracts one clip, frame by frame in order.

    Args:
        engine: The engine that finds and tracks faces and predicts landmarks.
        arguments: The options of the extraction, and the number of frames in a part.
        workspace: Where parts are written.
        info: The clip's properties.
        finished: Parts of an earlier call, from the first part on without a gap.
    """

    def __init__(
        self,
        engine: Engine,
        arguments: ExtractArgs,
        workspace: Workspace,
        info: MediaInfo,
        finished: list[Alignments],
    ) -> None:
        self._engine = engine
        self._arguments = arguments
        self._options = arguments.options
        self._workspace = workspace
        self._info = info
        self._finished = len(finished)
        self._parts = finished
        self._rows = Rows(info, engine.build)
        self._crops: dict[int, NDArray[np.uint8]] = {}
        self._embedder = _load_embedder() if self._options.identity else None
        self._views = FaceViews(self._landmarks, _load_embedder)
        self._person: Person | None = None
        self._people: doubts.PeopleSeen | None = None
        if arguments.chosen is None and not arguments.is_fake and FaceEmbedder.installed():
            self._people = doubts.PeopleSeen(
                lambda frame, landmarks: _load_embedder().embed(frame, landmarks), self._options.detect_every
            )
        self._subject = Subject(engine, self._options.detect_every)
        self._spreads = Spreads(engine)
        self._samples = Samples()

    def find_person(self) -> None:
        """Find out whom to follow, if face embeddings decide it; call it first.

        Raises:
            InvalidInput: there is no face where the request names one (SUBJECT_NOT_FOUND).
        """
        chosen = self._arguments.chosen
        if chosen is None:
            return
        known = None
        if chosen.kind not in ("largest", "centre"):
            with _open(self._arguments, self._workspace) as source:
                used = (frame for index, frame in enumerate(source) if not self.excludes(index))
                frames = source if chosen.kind == "point" else used
                known = scan.find_person(chosen, frames, self._engine, self._views)
        first, every = pick_centre if chosen.kind == "centre" else None, self._arguments.embed_every
        self._person = Person(self._views, first, known, every)
        self._subject = Subject(self._engine, self._options.detect_every, self._person)

    def excludes(self, index: int) -> bool:
        """Return whether the request excludes a frame."""
        return ranges.contain(self._arguments.excluded, index)

    def add(self, index: int, frame: NDArray[np.uint8], unused: int | None = None) -> Iterator[PartsReady]:
        """Work on the next frame. If the frame completes a part, yield the names of the part's files.

        Args:
            index: Number of the frame, from 0.
            frame: uint8 [h, w, 3], BGR.
            unused: The value of `alignments.REASONS` why the frame is not searched for a face; None if it is.

        Raises:
            DataLoss: the frame differs from the one that a finished part was made of.
        """
        part, row = divmod(index, self._arguments.part_frames)
        digest = frame_digest(frame)
        if part < self._finished:
            if digest != int(self._parts[part].frame_digests[row]):
                message = (
                    f"Frame {index} differs from the frame that part {part} of the stored extraction was made of. "
                    "Delete the extraction's prefix, and extract the sequence again."
                )
                raise DataLoss(message, reason="FRAME_DIGEST_MISMATCH")
            kept = self._parts[part]
            face = (kept.landmarks[row], kept.matrices[row]) if kept.found[row] else None
            embedding = kept.embeddings[row] if kept.embeddings is not None else None
            self._remember(index, frame, face, embedding, None if kept.seen is None else int(kept.seen[row]))
            return
        if row == 0:
            self._subject.restart(last_box(self._parts))
            self._spreads.restart()
        self._views.number = index
        sighting = self._subject.follow(frame) if unused is None else Sighting(None, unused, NOT_SEARCHED)
        reason, found = self._face(index, frame, sighting)
        self._rows.add(digest, reason, found, sighting)
        if found is not None:
            self._crops[index] = found.crop
            self._remember(
                index,
                frame,
                (found.landmarks, found.matrix),
                found.embedding if self._embedder else None,
                sighting.seen,
            )
        else:
            self._remember(index, frame, None, None, sighting.seen)
        if row == self._arguments.part_frames - 1:
            yield self._end_part()

    def _remember(
        self,
        index: int,
        frame: Frame,
        face: tuple[NDArray[np.float32], NDArray[np.float64]] | None,
        embedding: NDArray[np.float32] | None,
        seen: int | None,
    ) -> None:
        """Take from a frame, whose row was made now or in an earlier call, what is needed for later ones."""
        if face is not None:
            is_sure = embedding is not None and bool(embedding.any())
            if self._person is None or is_sure:
                self._samples.offer(index, frame)
            if self._person is not None and embedding is not None and is_sure:
                self._person.learn(embedding)
        if self._people is not None and seen is not None:
            self._people.see(index, frame, face, seen)

    def finish(self) -> Iterator[Message[ExtractionInfo]]:
        """Complete the last part, and yield the names of the last files and the result.

        Raises:
            InvalidInput: the request excludes frames beyond the end of the clip (EXCLUDED_FRAMES).
            Unusable: no frame had a face, or too few.
        """
        if self._rows.reasons:
            yield self._end_part()
        whole, name = alignments.concatenate(self._parts), self._arguments.name
        if wrong := list(ranges.out_of_bounds(self._arguments.excluded, len(whole), "excluded_frames")):
            message = f"Excluded frames of {name} {wrong[0].description}. Correct them, or end the range with max."
            raise InvalidInput(message, reason="EXCLUDED_FRAMES", violations=wrong, resource=name)
        if not whole.found.any():
            message = (
                f"Expected a face in at least one frame of {name}. None was found in {len(whole)} frames. "
                "Use a clip that shows a face, or an engine that finds more, such as extraction.engine=centerface."
            )
            raise Unusable(message, reason="NO_FACE_FOUND", metadata={"frames": str(len(whole))}, resource=name)
        shares = self._arguments.shares
        if whole.share < shares.refuse and not self._arguments.is_fake:
            message = (
                f"Expected a face in at least {shares.refuse:.0%} of the frames of {name}. It was found in "
                f"{int(whole.found.sum())} of {len(whole)} frames. Use a clip that shows the face more often, or lower "
                "FACEFOUNDRY_EXTRACTOR_MIN_SHARE of the extractor."
            )
            raise Unusable(message, reason="FEW_FACES", metadata={"frames": str(len(whole))}, resource=name)
        yield self._write({SAMPLES: self._samples.archive(), ALIGNMENTS: whole.to_bytes()})
        yield Progress("extract", len(whole), len(whole))
        missing, face_count = whole.missing(), int(whole.found.sum())
        content_digest = whole.content_digest()
        yield Result(
            info=ExtractionInfo(
                content_digest=content_digest,
                frame_count=len(whole),
                face_count=face_count,
                missing=[ReasonCount(reason, frames) for reason, frames in missing.items()],
                frame_rate=FrameRate(*whole.frame_rate),
                width=whole.width,
                height=whole.height,
                engine=self._options.engine,
                rate_basis=self._info.rate_basis,
                stated_frame_rate=_stated(self._info),
                remarks=self._info.remarks(),
                warnings=doubts.warnings(
                    whole,
                    warn_share=shares.warn,
                    by_identity=self._person is not None,
                    swapped=self._people.others(whole.found) if self._people else np.zeros(len(whole), dtype=bool),
                ),
            ),
            content_digest=content_digest,
            versions={"decoder": DECODER, "engine": self._engine.build},
            frames={"FOUND": face_count, **missing},
        )

    def _face(self, index: int, frame: Frame, sighting: Sighting) -> tuple[int, Face | None]:
        """Align and crop the face of a sighting.

        Returns:
            A value of `alignments.REASONS`, and the face if that value is `FOUND`.
        """
        if sighting.box is None:
            self._spreads.restart()
            return sighting.reason, None
        box, landmarks = self._whole(sighting.box), self._views.landmarks(frame, sighting.box)
        matrix = crop.face_matrix(landmarks)
        if not crop.is_usable(matrix):
            return BAD_LANDMARKS, None
        picture = crop.cut(frame, matrix, self._options.crop_size, self._options.padding)
        is_due = index % self._arguments.embed_every == 0 if self._person is None else not self._person.trusts(index)
        is_embedded = self._embedder is not None and is_due
        embedding = self._views.embedding(frame, sighting.box) if is_embedded else np.zeros(128, np.float32)
        spread = self._spreads.spread(frame, box, landmarks, matrix)
        return FOUND, Face(truncate_box(box).astype(np.int32), landmarks, matrix, picture, embedding, spread)

    def _landmarks(self, frame: Frame, box: Box) -> NDArray[np.float32]:
        """Predict landmarks. FF++ truncates the box before the landmarks and the landmarks before the matrix."""
        landmarks = self._engine.landmarks(frame, self._whole(box))
        return np.trunc(landmarks) if self._options.integer_landmarks else landmarks

    def _whole(self, box: Box) -> Box:
        return truncate_box(box) if self._options.integer_landmarks else box

    def _end_part(self) -> PartsReady:
        for index in self._person.take_others() if self._person else ():
            self._rows.refuse(index % self._arguments.part_frames)
            del self._crops[index]
        part = self._rows.alignments(identity=self._embedder is not None)
        faces_name, alignments_name = _names(len(self._parts))
        ready = self._write({faces_name: face_tar.pack(self._crops), alignments_name: part.to_bytes()})
        self._parts.append(part)
        self._rows = Rows(self._info, self._engine.build)
        self._crops = {}
        return ready

    def _write(self, parts: dict[str, bytes]) -> PartsReady:
        for name, data in parts.items():
            self._workspace.made_part(name).write_bytes(data)
        return PartsReady(tuple(parts))
