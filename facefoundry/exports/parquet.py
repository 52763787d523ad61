"""Parquet tables of videos and frames, beside the videos: for pandas, polars, pyarrow and Hugging Face datasets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

from facefoundry.codec import JsonValue
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.record import SequenceRecord
from facefoundry.errors import InvalidInput
from facefoundry.exports.dataset import Dataset, Fake
from facefoundry.exports.export import Export, Request, option
from facefoundry.exports.plan import Copied, Made, Plan
from facefoundry.storage.parts import MASKS

__all__ = ["FRAMES", "METADATA", "ParquetExport", "ParquetOptions", "Table", "table_of", "video_copies"]

METADATA, FRAMES = "metadata.parquet", "frames.parquet"
_BYTES_PER_FRAME = 600


@dataclass(frozen=True)
class ParquetOptions:
    """The options of `parquet`."""

    tables_only: bool = option(
        False, "Write the tables without videos; put them at the root of the dataset, whose videos they name."
    )
    no_landmarks: bool = option(False, "Leave the landmarks null, so that no keys of the store are needed.")


@dataclass(frozen=True)
class Video:
    """A row of `metadata.parquet`.

    Attributes:
        file_name: Path of the video, relative to the table.
        video_id: Id of the sequence.
        label: 1 if it is a fake, 0 if it is real.
        compression: Name of the compression level.
        method: `Deepfakes` of a fake; None of a real video.
        target: Id of the sequence whose frames a fake keeps; None of a real video.
        source: Id of the sequence that gives the face; None of a real video.
        split: `train`, `val` or `test`.
        mask_path: Path of the mask, as `file_name`; None of a real video, and without masks.
        frames: Number of frames.
        swapped_frames: How many of them show the other face.
        width: Width of the frames, pixels.
        height: Height of the frames, pixels.
        bytes: Size of the file.
        fps: Frames per second.
        sha256: SHA-256 of the file, 64 hex digits.
    """

    file_name: str
    video_id: str
    label: int
    compression: str
    method: str | None
    target: str | None
    source: str | None
    split: str
    mask_path: str | None
    frames: int
    swapped_frames: int
    width: int
    height: int
    bytes: int
    fps: float
    sha256: str


class ParquetExport(Export[ParquetOptions]):
    """Writes two tables, and copies the videos and masks that they name."""

    name = "parquet"
    summary = "Parquet tables for pandas, polars, pyarrow and datasets (videofolder), with the videos"
    options = ParquetOptions
    libraries: ClassVar[tuple[str, ...]] = ("pyarrow",)
    install: ClassVar[str] = "'.[tables]'"

    def plan(self, dataset: Dataset, request: Request[ParquetOptions]) -> Plan:
        """Plan the tables, and copies unless the tables alone are asked for."""
        options = request.options
        table = table_of(dataset, request.levels, landmarks=not options.no_landmarks)
        metadata = Made(
            METADATA,
            "facefoundry.exports.makers.tables:metadata",
            (METADATA,),
            {},
            {"videos": table.videos},
            len(table.videos) * _BYTES_PER_FRAME,
        )
        frames = Made(
            FRAMES,
            "facefoundry.exports.makers.tables:frames",
            (FRAMES,),
            table.sources,
            {"sequences": table.sequences},
            table.size,
        )
        copies = () if options.tables_only else video_copies(dataset, request.levels)
        return Plan((*copies, metadata, frames), left_out=dataset.left_out, remarks=dataset.remarks)


@dataclass(frozen=True)
class Table:
    """What the functions that write tables get.

    Attributes:
        videos: Rows of `metadata.parquet`.
        sequences: For each sequence, in order: `id`, `frames`, and the names of `labels` and `alignments` among the
            sources; null for none.
        sources: Files with labels and alignments, by name.
        size: Expected size of `frames.parquet`, bytes.
    """

    videos: list[JsonValue]
    sequences: list[JsonValue]
    sources: dict[str, Path]
    size: int


def table_of(dataset: Dataset, levels: tuple[str, ...], *, landmarks: bool) -> Table:
    """Return the contents of the tables of a dataset.

    Raises:
        InvalidInput: videos are missing (FILE), the record lacks a sequence (NO_SEQUENCE), or alignments cannot be
            fetched.
    """
    dataset.require(copy.source for copy in video_copies(dataset, levels))
    videos: list[JsonValue] = [asdict(row) for level in levels for row in _videos(dataset, level)]
    alignments = dataset.alignments() if landmarks else {}
    sources = {f"alignments {id_}": path for id_, path in alignments.items()}
    sources |= {f"labels {fake}": dataset.layout.labels(fake) for fake in dataset.fakes}

    def named(kind: str, id_: str) -> str | None:
        return f"{kind} {id_}" if f"{kind} {id_}" in sources else None

    sequences: list[JsonValue] = [
        {"id": id_, "frames": _facts(dataset, id_).frames, "labels": None, "alignments": named("alignments", id_)}
        for id_ in dataset.sequences
    ]
    sequences += [
        {
            "id": fake.id,
            "frames": len(fake.labels.frames),
            "labels": named("labels", fake.id),
            "alignments": named("alignments", fake.target),
        }
        for fake in dataset.fakes.values()
    ]
    frames = sum(_facts(dataset, id_).frames for id_ in dataset.sequences)
    frames += sum(len(fake.labels.frames) for fake in dataset.fakes.values())
    return Table(videos, sequences, sources, frames * _BYTES_PER_FRAME)


def video_copies(dataset: Dataset, levels: tuple[str, ...]) -> tuple[Copied, ...]:
    """Return copies of the videos and masks of a dataset, in FF++'s folders under their own ids."""
    out, layout = FfppLayout(Path()), dataset.layout
    real = (
        Copied(out.real_video(level, id_).as_posix(), layout.real_video(level, id_))
        for level in levels
        for id_ in dataset.sequences
    )
    fakes = (
        Copied(out.fake_video(level, fake).as_posix(), layout.fake_video(level, fake))
        for level in levels
        for fake in dataset.fakes
    )
    masks = (
        Copied(out.mask_video(kind, fake).as_posix(), path)
        for kind in MASKS
        for fake in dataset.fakes
        if (path := layout.mask_video(kind, fake)).is_file()
    )
    return (*real, *fakes, *masks)


def _videos(dataset: Dataset, level: str) -> Iterator[Video]:
    """Yield the rows of the videos of one level."""
    out, layout = FfppLayout(Path()), dataset.layout
    for id_ in dataset.sequences:
        yield _video(dataset, layout.real_video(level, id_), out.real_video(level, id_), level, id_)
    for fake in dataset.fakes.values():
        yield _video(dataset, layout.fake_video(level, fake.id), out.fake_video(level, fake.id), level, fake)


def _video(dataset: Dataset, path: Path, name: Path, level: str, shown: Fake | str) -> Video:
    fake = shown if isinstance(shown, Fake) else None
    id_ = fake.id if fake else str(shown)
    facts = _facts(dataset, fake.target if fake else id_)
    mask = FfppLayout(Path()).mask_video(MASKS[0], id_)
    has_mask = fake is not None and dataset.layout.mask_video(MASKS[0], id_).is_file()
    return Video(
        file_name=name.as_posix(),
        video_id=id_,
        label=int(fake is not None),
        compression=level,
        method="Deepfakes" if fake else None,
        target=fake.target if fake else None,
        source=fake.source if fake else None,
        split=dataset.split_of(id_),
        mask_path=mask.as_posix() if has_mask else None,
        frames=len(fake.labels.frames) if fake else facts.frames,
        swapped_frames=len(fake.labels.swapped) if fake else 0,
        width=facts.width,
        height=facts.height,
        bytes=path.stat().st_size,
        fps=float(Fraction(facts.fps)),
        sha256=dataset.sha256(path),
    )


def _facts(dataset: Dataset, id_: str) -> SequenceRecord:
    """Return the record of a sequence."""
    found = dataset.record.sequences.get(id_)
    if found is None or not found.frames or not found.fps:
        message = f"Expected the run record of {dataset.name} to have the frames and the frame rate of {id_}. It does "
        raise InvalidInput(f"{message}not. Run the dataset again.", reason="NO_SEQUENCE")
    return found
