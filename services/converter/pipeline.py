"""What the sandboxed child does: decode, network, composite, chunks and outputs for one sequence, on local files only.

Arguments and messages are JSON values. Messages are `{"progress": {"stage", "done", "total"}}`, `{"part": name,
"path": file}` as parts get finished, and at the end `{"result": {...}}`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from facefoundry.errors import Unusable
from facefoundry.faces.alignments import REASONS, Alignments
from facefoundry.faces.crop import cut
from facefoundry.media.read import DECODER, Source, frame_digest, open_source
from facefoundry.media.write import Level, LevelsWriter
from facefoundry.model.architecture import unpack
from facefoundry.model.swap import Swapper
from facefoundry.recipes import ranges
from services.converter import chunks, labels
from services.converter.composite import MASK_TOO_SMALL, Patch, composite
from services.converter.labels import OUT_OF_RANGE, Row
from services.converter.mask import MaskOptions
from services.converter.outputs import Outputs, content_hash
from services.converter.samples import evenly

__all__ = ["convert", "transcode"]

Message = dict[str, Any]
Frame = NDArray[np.uint8]
Swap = Callable[[NDArray[Any]], NDArray[np.float32]]

_REPORT_EVERY = 16


def convert(
    *,
    sources: list[str],
    frame_rate: list[int] | None,
    alignments: str,
    weights: str,
    decoder: Literal["a", "b"],
    options: Mapping[str, Any],
    levels: list[dict[str, Any]],
    chunk_files: Mapping[str, str],
    folder: str,
    control: bool,
) -> Iterator[Message]:
    """Convert a target sequence.

    Args:
        sources: The target's video, or its tars of frames.
        frame_rate: Of frames, numerator and denominator; None for videos.
        alignments: File of the target's `Alignments`.
        weights: File of the model's three networks.
        decoder: Side whose face is put on the target.
        options: Fields of `v1.ConversionOptions`.
        levels: Fields of `v1.Level`, one a level.
        chunk_files: Chunks that are done already, part name to file.
        folder: Empty folder for what is made.
        control: The decoder is the target's own.

    Raises:
        Unusable: the media, the model or their fit is at fault (such as DECODER_MISMATCH, NO_FACE, SIZE_MISMATCH).
    """
    known = Alignments.from_bytes(Path(alignments).read_bytes())
    chosen = _chosen(options, len(known))
    if not (known.found & chosen).any():
        where = "" if chosen.all() else " within the frame ranges"
        raise Unusable(f"No frame of the target{where} has a face, so there is nothing to swap", reason="NO_FACE")
    kept = chosen if options.get("discard") else np.ones(len(known), np.bool_)
    with ExitStack() as opened:
        source = opened.enter_context(open_source([Path(path) for path in sources], frame_rate=_rate(frame_rate)))
        _check_size(source, known)
        wanted = evenly(np.flatnonzero(known.found & chosen).tolist())
        outputs = opened.enter_context(Outputs(Path(folder), _specs(levels), source.info, wanted, control=control))
        converter = _Converter(known, chosen, Path(weights), decoder, options)
        frames = _verified(source, known)
        for index, start in enumerate(range(0, len(known), converter.chunk_frames)):
            numbers = range(start, min(start + converter.chunk_frames, len(known)))
            name = chunks.name_of(index)
            done = chunk_files.get(name)
            if done is not None:
                results = chunks.read(Path(done), numbers, frames)
            else:
                results = converter.chunk(Path(folder) / name, numbers, frames)
            for target, row, patch in results:
                if kept[row.frame]:
                    outputs.write(target, row, patch)
                if (row.frame + 1) % _REPORT_EVERY == 0:
                    yield _progress("convert", row.frame + 1, len(known))
            if done is None:
                yield {"part": name, "path": str(Path(folder) / name)}
        # One more step: a source with more frames than the extraction is refused.
        next(frames, None)
        if not outputs.swapped:
            raise Unusable("No frame could be swapped: every face is too small or outside", reason="NOTHING_SWAPPED")
        converter.free()
        yield from _encoding(outputs.rest())
        assembled = outputs.close()
    total = len(known) * outputs.passes
    yield _progress("encode", total, total)
    yield from ({"part": name, "path": str(path)} for name, path in assembled.files.items())
    yield {
        "result": {
            **_facts(source),
            "content_digest": assembled.content_digest,
            "frame_count": len(assembled.rows),
            "swapped_count": outputs.swapped,
            "untouched": labels.untouched(assembled.rows),
            "quality": assembled.quality,
            "samples": assembled.samples,
        }
    }


def transcode(
    *, sources: list[str], frame_rate: list[int] | None, levels: list[dict[str, Any]], folder: str
) -> Iterator[Message]:
    """Encode a real sequence at the compression levels of the fakes; arguments as in `convert`.

    Raises:
        Unusable: the media is at fault.
    """
    with ExitStack() as opened:
        source = opened.enter_context(open_source([Path(path) for path in sources], frame_rate=_rate(frame_rate)))
        info = source.info
        size = (info.frame_rate, info.width, info.height)
        writer = opened.enter_context(LevelsWriter(Path(folder), _specs(levels), *size))
        content = content_hash(info)
        done = 0
        for frame in source:
            writer.write(frame)
            content.update(frame.data)
            done += 1
            if done % _REPORT_EVERY == 0:
                yield _progress("encode", done, (info.frame_count or 0) * writer.passes)
        yield from _encoding(writer.rest())
        files = writer.close()
    yield from ({"part": f"{name}.mp4", "path": str(path)} for name, path in files.items())
    yield {"result": {**_facts(source), "content_digest": content.hexdigest(), "frame_count": done}}


class _Converter:
    """Network and composite for windows of frames; the network is loaded when the first window needs it."""

    def __init__(
        self,
        known: Alignments,
        chosen: NDArray[np.bool_],
        weights: Path,
        decoder: Literal["a", "b"],
        options: Mapping[str, Any],
    ) -> None:
        self._known = known
        self._chosen = chosen
        self._weights = weights
        self._decoder = decoder
        self._options = MaskOptions(options["mask"], int(options["erosion"]), int(options["blur"]))
        self._seamless = bool(options["seamless"])
        self._batch = int(options["batch_size"])
        self._swap: Swapper | None = None
        self.chunk_frames = int(options["chunk_frames"])

    def chunk(self, path: Path, numbers: range, frames: Iterator[Frame]) -> Iterator[tuple[Frame, Row, Patch | None]]:
        """Convert the next frames and write their chunk; windows begin anew in each, so a resumed run has the same."""
        writer = chunks.ChunkWriter(path)
        for start in range(numbers.start, numbers.stop, self._batch):
            window = range(start, min(start + self._batch, numbers.stop))
            for target, row, patch in self._window(window, list(itertools.islice(frames, len(window)))):
                writer.add(target, row, patch)
                yield target, row, patch
        writer.close()

    def free(self) -> None:
        """Let go of the network, several hundred MB, once all faces are made."""
        self._swap = None

    def _window(self, numbers: range, targets: list[Frame]) -> Iterator[tuple[Frame, Row, Patch | None]]:
        faces = self._faces(numbers, targets)
        for number, target in zip(numbers, targets, strict=True):
            if number not in faces:
                reason = REASONS[self._known.reasons[number]] if self._chosen[number] else OUT_OF_RANGE
                yield target, Row(number, False, reason), None
                continue
            matrix, landmarks = self._known.matrices[number], self._known.landmarks[number]
            patch = composite(target, faces[number], matrix, landmarks, self._options, self._seamless)
            row = Row(number, False, MASK_TOO_SMALL) if patch is None else Row(number, True, None, patch.box)
            yield target, row, patch

    def _faces(self, numbers: range, targets: list[Frame]) -> dict[int, NDArray[np.float32]]:
        """Return the swapped faces by frame; a face's place in the window depends on its frame number alone."""
        found = [number for number in numbers if self._known.found[number] and self._chosen[number]]
        if not found:
            return {}
        if self._swap is None:
            self._swap = Swapper(*unpack(self._weights), self._decoder, self._batch)
        size = self._swap.face_size
        window = np.zeros((len(numbers), size, size, 3), np.uint8)
        for number in found:
            place = number - numbers.start
            window[place] = cut(targets[place], self._known.matrices[number], size, 0)
        made = self._swap(window)
        return {number: made[number - numbers.start] for number in found}


def _chosen(options: Mapping[str, Any], count: int) -> NDArray[np.bool_]:
    """Mask bool [count], True for the frames that shall be swapped."""
    chosen = np.zeros(count, np.bool_)
    chosen[ranges.frame_numbers(options.get("frame_ranges", ()), count)] = True
    return chosen


def _verified(source: Source, known: Alignments) -> Iterator[Frame]:
    """Yield exactly the frames that the extraction saw, or refuse."""
    number = -1
    for number, frame in enumerate(source):
        if number >= len(known) or frame_digest(frame) != known.frame_digests[number]:
            raise _mismatch(f"frame {number} is decoded to other pixels than when the faces were extracted", known)
        yield frame
    if number + 1 != len(known):
        raise _mismatch(f"the source has {number + 1} frames, but {len(known)} when the faces were extracted", known)


def _mismatch(what: str, known: Alignments) -> Unusable:
    return Unusable(
        f"Target and extraction do not fit: {what}. Here decodes [{DECODER}], there decoded [{known.decoder}]; "
        "extract the sequence again with this version",
        reason="DECODER_MISMATCH",
        metadata={"decoder": DECODER, "extraction_decoder": known.decoder},
    )


def _check_size(source: Source, known: Alignments) -> None:
    if (source.info.width, source.info.height) != (known.width, known.height):
        message = (
            f"The source is {source.info.width}x{source.info.height}, but its extraction {known.width}x{known.height}"
        )
        raise Unusable(message, reason="SIZE_MISMATCH")


def _rate(frame_rate: list[int] | None) -> tuple[int, int] | None:
    return None if frame_rate is None else (int(frame_rate[0]), int(frame_rate[1]))


def _specs(levels: list[dict[str, Any]]) -> list[Level]:
    return [Level(**level) for level in levels]


def _progress(stage: str, done: int, total: int) -> Message:
    return {"progress": {"stage": stage, "done": done, "total": total}}


def _encoding(steps: Iterator[tuple[int, int]]) -> Iterator[Message]:
    return (_progress("encode", done, total) for done, total in steps if done % _REPORT_EVERY == 0)


def _facts(source: Source) -> dict[str, Any]:
    info = source.info
    rate = f"{info.frame_rate[0]}/{info.frame_rate[1]}"
    return {"frame_rate": rate, "width": info.width, "height": info.height, "decoder": DECODER}
