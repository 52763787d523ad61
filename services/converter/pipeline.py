"""The work of the converter's sandboxes: convert a target's frames or encode a real video, and write the parts.

It reads and writes local files alone; the parent process fetches and stores them. Frames are converted in windows: runs
of `batch_size` consecutive frames, whose faces go through the network in one call.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facefoundry.errors import Unusable
from facefoundry.faces.alignments import REASONS, Alignments
from facefoundry.faces.crop import crop_matrix, cut
from facefoundry.media.read import DECODER, Source, frame_digest, open_source
from facefoundry.media.write import LevelsWriter
from facefoundry.model.architecture import content_digest, unpack
from facefoundry.model.swap import Swapper
from facefoundry.recipes import ranges
from facefoundry.storage.info import ConversionFacts, VideoFacts
from facefoundry.storage.parts import CHUNKS, video
from facefoundry.work.messages import Message, PartsReady, Progress, Result, Resumed
from facefoundry.work.workspace import Workspace
from services.converter import chunks, colours, labels
from services.converter.composite import MASK_TOO_SMALL, Patch, composite
from services.converter.finish import FinishOptions
from services.converter.functions import ConversionOptions, ConvertArgs, TranscodeArgs
from services.converter.labels import OUT_OF_RANGE, Row
from services.converter.mask import MaskOptions
from services.converter.outputs import Outputs, content_hash
from services.converter.samples import evenly

__all__ = ["convert", "transcode"]

Frame = NDArray[np.uint8]

_REPORT_EVERY = 16


def convert(arguments: ConvertArgs, workspace: Workspace) -> Iterator[Message[ConversionFacts]]:
    """Make the fake of a target.

    The chunks that an earlier call finished are read and not converted again, even if chunks between them are missing.

    Args:
        arguments: The target, the model and the options.
        workspace: Folders in which files are read and written.

    Yields:
        `Resumed` with the finished chunks that are kept, then `Progress` and `PartsReady` messages, and last the
        `Result`.

    Raises:
        Unusable: the target cannot be decoded as it was at its extraction, or it has no face that can be swapped (such
            as DECODER_MISMATCH, SIZE_MISMATCH, NO_FACE, NOTHING_SWAPPED).
        DataLoss: the content of the extraction, of the model (DIGEST_MISMATCH) or of a finished chunk (BAD_CHUNK) is
            not as expected.
    """
    options = arguments.options
    known = Alignments.from_bytes(workspace.input(arguments.alignments).read_bytes())
    arguments.target.require(known.content_digest())
    chosen = _chosen(options, len(known))
    if not (known.found & chosen).any():
        where = "" if chosen.all() else " within the frame ranges"
        message = (
            f"Expected a face in at least one frame of the target{where}. The extraction found none. Use "
            f"{'other frame_ranges' if where else 'another target'}."
        )
        raise Unusable(message, reason="NO_FACE")
    kept = chosen if options.discard else np.ones(len(known), np.bool_)
    with ExitStack() as opened:
        source = opened.enter_context(_open(arguments, workspace))
        _check_size(source, known)
        samples = evenly(np.flatnonzero(known.found & chosen).tolist())
        files = Outputs(
            workspace.made,
            arguments.levels,
            source.info,
            samples,
            control=arguments.control,
            start=arguments.start,
            rights=arguments.rights,
        )
        outputs = opened.enter_context(files)
        converter = _Converter(known, chosen, workspace.input(arguments.weights), arguments)
        frames = _verified(source, known, kept)
        numbers_of = _chunk_ranges(len(known), options.chunk_frames)
        finished = set(numbers_of) & set(workspace.finished)
        yield Resumed(tuple(sorted(finished)))
        for name, numbers in numbers_of.items():
            if name in finished:
                results = chunks.read(workspace.finished_part(name), numbers, frames)
            else:
                results = converter.chunk(workspace.made_part(name), numbers, frames)
            for target, row, patch in results:
                if kept[row.frame]:
                    outputs.write(target, row, patch)
                if (row.frame + 1) % _REPORT_EVERY == 0:
                    yield Progress("convert", row.frame + 1, len(known))
            if name not in finished:
                yield PartsReady((name,))
        # Asks for one more frame, so that a clip with more frames than the extraction is refused.
        next(frames, None)
        if not outputs.swapped:
            message = (
                "Expected at least one swapped frame. Every face of the target is too small or outside its frame. "
                "Use a target with larger faces."
            )
            raise Unusable(message, reason="NOTHING_SWAPPED")
        converter.free()
        yield from _encoding(outputs.rest())
        assembled = outputs.close()
    total = len(known) * outputs.passes
    yield Progress("encode", total, total)
    yield PartsReady(tuple(assembled.files))
    unswapped = labels.unswapped(assembled.rows)
    yield Result(
        info=ConversionFacts(
            **asdict(_facts(source, len(assembled.rows))),
            swapped_count=outputs.swapped,
            unswapped=unswapped,
            quality=assembled.quality,
            samples=assembled.samples,
        ),
        content_digest=assembled.content_digest,
        versions={"decoder": DECODER},
        frames={"SWAPPED": outputs.swapped, **unswapped},
    )


def transcode(arguments: TranscodeArgs, workspace: Workspace) -> Iterator[Message[VideoFacts]]:
    """Encode a real video at the same compression levels as the fakes; arguments as in `convert`.

    Yields:
        `Progress` messages, `PartsReady` with the videos, and last the `Result`.

    Raises:
        Unusable: the clip cannot be decoded.
    """
    with ExitStack() as opened:
        source = opened.enter_context(_open(arguments, workspace))
        info = source.info
        size = (info.frame_rate, info.width, info.height)
        writer = opened.enter_context(LevelsWriter(workspace.made, arguments.levels, *size))
        content = content_hash(info)
        done = 0
        for frame in source:
            writer.write(frame)
            content.update(frame.data)
            done += 1
            if done % _REPORT_EVERY == 0:
                yield Progress("encode", done, (info.frame_count or 0) * writer.passes)
        yield from _encoding(writer.rest())
        names = tuple(writer.close())
    yield PartsReady(tuple(video(name) for name in names))
    yield Result(
        info=_facts(source, done),
        content_digest=content.hexdigest(),
        versions={"decoder": DECODER},
        frames={"ENCODED": done},
    )


class _Converter:
    """Swaps the faces of a target's frames, window by window. The network is loaded when it is first needed.

    Args:
        known: The alignments of the target's extraction.
        chosen: bool [n], whether each frame is to be swapped.
        weights: File of the model's weights.
        arguments: The model, the side whose decoder makes the faces, and the options.
    """

    def __init__(self, known: Alignments, chosen: NDArray[np.bool_], weights: Path, arguments: ConvertArgs) -> None:
        self._known = known
        self._chosen = chosen
        self._weights = weights
        self._model = arguments.model
        self._decoder = arguments.decoder
        options = arguments.options
        self._options = MaskOptions(options.mask, options.erosion, options.blur)
        self._clone = options.clone
        self._finishing = FinishOptions(options.mouth, options.detail)
        self._colours = options.colours
        self._batch = options.batch_size
        self._swap: Swapper | None = None

    def chunk(self, path: Path, numbers: range, frames: Iterator[Frame]) -> Iterator[tuple[Frame, Row, Patch | None]]:
        """Convert the next frames, and write and yield them.

        Every chunk begins with a new window, so that a resumed conversion has the same windows.

        Args:
            path: File of the chunk.
            numbers: Numbers of the chunk's frames.
            frames: The target's frames, from the first of `numbers` on, each uint8 [h, w, 3] BGR.

        Yields:
            (frame of the target, its label, its patch) for each frame; the patch is None if the frame is not swapped.
        """
        writer = chunks.ChunkWriter(path)
        for start in range(numbers.start, numbers.stop, self._batch):
            window = range(start, min(start + self._batch, numbers.stop))
            for target, row, patch in self._window(window, list(itertools.islice(frames, len(window)))):
                writer.add(target, row, patch)
                yield target, row, patch
        writer.close()

    def free(self) -> None:
        """Release the network, which takes several hundred MB. Call this when all faces are made."""
        self._swap = None

    def _window(self, numbers: range, targets: list[Frame]) -> Iterator[tuple[Frame, Row, Patch | None]]:
        faces = self._faces(numbers, targets)
        for number, target in zip(numbers, targets, strict=True):
            if number not in faces:
                reason = REASONS[self._known.reasons[number]] if self._chosen[number] else OUT_OF_RANGE
                yield target, Row(number, False, reason), None
                continue
            matrix, landmarks = self._known.matrices[number], self._known.landmarks[number]
            face = faces[number]
            patch = composite(target, face, matrix, landmarks, self._options, self._clone, self._finishing)
            row = Row(number, False, MASK_TOO_SMALL) if patch is None else Row(number, True, None, patch.box)
            yield target, row, patch

    def _faces(self, numbers: range, targets: list[Frame]) -> dict[int, NDArray[np.float32]]:
        """Return the faces of a window, float32 [s, s, 3], by frame number, before they are put on their frames.

        A face's place in the network's batch depends on its frame number alone, so the result does not depend on which
        other frames have a face.
        """
        found = [number for number in numbers if self._known.found[number] and self._chosen[number]]
        if not found:
            return {}
        if self._swap is None:
            architecture, tensors = unpack(self._weights)
            self._model.require(content_digest(tensors, architecture.colours))
            self._swap = Swapper(architecture, tensors, self._decoder, self._batch)
        size = self._swap.face_size
        window = np.zeros((len(numbers), size, size, 3), np.uint8)
        for number in found:
            place = number - numbers.start
            window[place] = cut(targets[place], self._known.matrices[number], size, 0)
        made = self._swap(window)
        return {
            number: self._coloured(made[number - numbers.start], window[number - numbers.start], number)
            for number in found
        }

    def _coloured(self, face: NDArray[np.float32], target: Frame, number: int) -> NDArray[np.float32]:
        """Return the face of a frame in the colours that the recipe wants; `target` is the target's aligned face."""
        if self._colours == "source":
            return face
        to_face = crop_matrix(self._known.matrices[number], len(face), 0)
        return colours.of_target(face, target, self._known.landmarks[number] @ to_face[:, :2].T + to_face[:, 2])


def _open(arguments: TranscodeArgs, workspace: Workspace) -> Source:
    paths = [workspace.input(name) for name in arguments.clip_files]
    return open_source(paths, frame_rate=arguments.frame_rate, tolerate_damage=arguments.tolerate_damage)


def _chunk_ranges(count: int, chunk_frames: int) -> dict[str, range]:
    """Return the frame numbers of each chunk, by the name of the chunk."""
    starts = range(0, count, chunk_frames)
    return {CHUNKS.name(index): range(start, min(start + chunk_frames, count)) for index, start in enumerate(starts)}


def _chosen(options: ConversionOptions, count: int) -> NDArray[np.bool_]:
    """Return whether each frame is in the recipe's frame ranges, bool [count]."""
    chosen = np.zeros(count, np.bool_)
    chosen[ranges.frame_numbers(options.frame_ranges, count)] = True
    return chosen


def _verified(source: Source, known: Alignments, kept: NDArray[np.bool_]) -> Iterator[Frame]:
    """Yield the clip's frames, and check that their number, and the pixels of those kept, are as at the extraction.

    In place of a frame that is not kept, bool [n], a black one is yielded.

    Raises:
        Unusable: a frame or the number of frames differs (DECODER_MISMATCH).
    """
    count = 0
    for number, frame in enumerate(source.frames(wanted=kept)):
        count = number + 1
        if count > len(known):
            raise _mismatch(f"the source has more than the {len(known)} frames that it had at the extraction", known)
        if kept[number] and frame_digest(frame) != known.frame_digests[number]:
            raise _mismatch(f"frame {number} decodes to other pixels than at the extraction", known)
        yield frame
    if count != len(known):
        raise _mismatch(f"the source has {count} frames, but had {len(known)} at the extraction", known)


def _mismatch(what: str, known: Alignments) -> Unusable:
    return Unusable(
        f"Expected the same frames as at the target's extraction. Received others: {what}. "
        f"The decoder is [{DECODER}]; at the extraction it was [{known.decoder}]. "
        "Extract the target again with the current version.",
        reason="DECODER_MISMATCH",
        metadata={"decoder": DECODER, "extraction_decoder": known.decoder},
    )


def _check_size(source: Source, known: Alignments) -> None:
    if (source.info.width, source.info.height) != (known.width, known.height):
        message = (
            f"Expected frames of {known.width}x{known.height}, as in the target's extraction. "
            f"Received {source.info.width}x{source.info.height}. Extract the target again."
        )
        raise Unusable(message, reason="SIZE_MISMATCH")


def _encoding(steps: Iterator[tuple[int, int]]) -> Iterator[Progress]:
    return (Progress("encode", done, total) for done, total in steps if done % _REPORT_EVERY == 0)


def _facts(source: Source, frame_count: int) -> VideoFacts:
    info = source.info
    return VideoFacts(
        frame_count=frame_count,
        frame_rate=f"{info.frame_rate[0]}/{info.frame_rate[1]}",
        width=info.width,
        height=info.height,
        decoder=DECODER,
    )
