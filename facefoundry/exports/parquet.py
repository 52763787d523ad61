"""Parquet tables of videos and frames, beside the videos: for pandas, polars, pyarrow and Hugging Face datasets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

from facefoundry.codec import JsonValue
from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.dataset.layout import Layout
from facefoundry.exports.dataset import Dataset, Fake
from facefoundry.exports.export import Export, Request, option
from facefoundry.exports.plan import Copied, Made, Plan
from facefoundry.storage.parts import MASKS

__all__ = ["FRAMES", "METADATA", "ParquetExport", "ParquetOptions", "Table", "table_of", "video_copies"]

METADATA, FRAMES = "metadata.parquet", "frames.parquet"
_BYTES_PER_FRAME = 600
_OWN = FfppLayout(Path())
"""Names the files of an export."""


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
        names = dataset.layout if options.tables_only else _OWN
        table = table_of(dataset, request.levels, landmarks=not options.no_landmarks, names=names)
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
        sequences: For each video, in order: `id`; `frames`, their numbers in the clip, empty with labels, which have
            them; and the names of `labels` and `alignments` among the sources, null for none.
        sources: Files with labels and alignments, by name.
        size: Expected size of `frames.parquet`, bytes.
    """

    videos: list[JsonValue]
    sequences: list[JsonValue]
    sources: dict[str, Path]
    size: int


def table_of(dataset: Dataset, levels: tuple[str, ...], *, landmarks: bool, names: Layout = _OWN) -> Table:
    """Return the contents of the tables of a dataset.

    Args:
        dataset: The dataset.
        levels: Names of the levels.
        landmarks: Whether the tables have landmarks.
        names: Names the paths of the videos in the tables.

    Raises:
        InvalidInput: videos are missing (FILE), the record lacks a sequence (NO_SEQUENCE), or alignments cannot be
            fetched.
    """
    dataset.require(copy.source for copy in video_copies(dataset, levels))
    videos: list[JsonValue] = [asdict(row) for level in levels for row in _videos(dataset, level, names)]
    alignments = dataset.alignments() if landmarks else {}
    sources = {f"alignments {id_}": path for id_, path in alignments.items()}
    sources |= {f"labels {fake}": dataset.layout.labels(fake) for fake in dataset.fakes}

    def named(kind: str, id_: str) -> str | None:
        return f"{kind} {id_}" if f"{kind} {id_}" in sources else None

    sequences: list[JsonValue] = [
        {
            "id": id_,
            "frames": [*dataset.frame_numbers(id_)],
            "labels": None,
            "alignments": named("alignments", id_),
        }
        for id_ in dataset.sequences
    ]
    sequences += [
        {
            "id": fake.id,
            "frames": [],
            "labels": named("labels", fake.id),
            "alignments": named("alignments", fake.target),
        }
        for fake in dataset.fakes.values()
    ]
    frames = sum(len(dataset.frame_numbers(id_)) for id_ in dataset.ids)
    return Table(videos, sequences, sources, frames * _BYTES_PER_FRAME)


def video_copies(dataset: Dataset, levels: tuple[str, ...]) -> tuple[Copied, ...]:
    """Return copies of the videos and masks of a dataset, in FF++'s folders under their own ids."""
    out, layout = _OWN, dataset.layout
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


def _videos(dataset: Dataset, level: str, names: Layout) -> Iterator[Video]:
    """Yield the rows of the videos of one level."""
    for id_ in dataset.sequences:
        yield _video(dataset, level, id_, None, names)
    for fake in dataset.fakes.values():
        yield _video(dataset, level, fake.id, fake, names)


def _video(dataset: Dataset, level: str, id_: str, fake: Fake | None, names: Layout) -> Video:
    path, name = (
        layout.fake_video(level, id_) if fake else layout.real_video(level, id_) for layout in (dataset.layout, names)
    )
    facts = dataset.facts(fake.target if fake else id_)
    has_mask = fake is not None and dataset.layout.mask_video(MASKS[0], id_).is_file()
    return Video(
        file_name=name.relative_to(names.root).as_posix(),
        video_id=id_,
        label=int(fake is not None),
        compression=level,
        method="Deepfakes" if fake else None,
        target=fake.target if fake else None,
        source=fake.source if fake else None,
        split=dataset.split_of(id_),
        mask_path=names.mask_video(MASKS[0], id_).relative_to(names.root).as_posix() if has_mask else None,
        frames=len(dataset.frame_numbers(id_)),
        swapped_frames=len(fake.labels.swapped) if fake else 0,
        width=facts.width,
        height=facts.height,
        bytes=path.stat().st_size,
        fps=float(Fraction(facts.fps)),
        sha256=dataset.sha256(path),
    )
