"""Finds the pictures of a fake in the folder of a dataset: frames of its videos, or else the samples of its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facefoundry import codec
from facefoundry.checks.measured import LabelFile, LabelRow
from facefoundry.checks.videos import levels_of
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.record import FakeRecord, RunRecord
from facefoundry.dataset.samples import find_samples, samples_of
from facefoundry.sheets.plan import Box, Cell, evenly
from facefoundry.storage.parts import MASKS

__all__ = ["VIEWS", "FakePictures", "inside", "pictures_of"]

VIEWS = {
    "source": "source",
    "target": "target",
    "swap": "fake",
    "masks": "mask: box",
    "masks_blend": "mask: blended",
    "masks_changed": "mask: changed",
}
"""What is shown of a fake, with its caption."""


@dataclass(frozen=True)
class FakePictures:
    """The pictures of a fake.

    Attributes:
        id: `<target>_<source>`.
        rows: The pictures of each of `VIEWS` that there are.
        record: Its part of the run record; None without one.
    """

    id: str
    rows: dict[str, list[Cell]]
    record: FakeRecord | None = None


def _level_of(layout: Layout, fake: str, wanted: str = "") -> str | None:
    """Return the level at which a fake is shown: the wanted one, or the first that it has; None if it has none."""
    levels = [wanted] if wanted else levels_of(layout)
    return next((level for level in levels if layout.fake_video(level, fake).is_file()), None)


def pictures_of(
    layout: Layout,
    fake: str,
    count: int,
    level: str = "",
    record: FakeRecord | None = None,
    run: RunRecord | None = None,
) -> FakePictures:
    """Return pictures of a fake, `count` of each view.

    Args:
        layout: The dataset's folder.
        fake: Id of the fake.
        count: Number of frames, evenly spread over those that are swapped.
        level: Name of a level; empty takes the first one that the fake has.
        record: Its part of the run record.
        run: The run record, which names sample pictures of the source.

    Raises:
        DataLoss: its labels are damaged.
    """
    found = _level_of(layout, fake, level)
    rows = _of_videos(layout, fake, found, count) if found else _of_samples(layout, fake, count, record, run)
    return FakePictures(fake, {name: cells for name, cells in rows.items() if cells}, record)


def _of_videos(layout: Layout, fake: str, level: str, count: int) -> dict[str, list[Cell]]:
    target, _, source = fake.partition("_")
    labels = _labels(layout, fake)
    swapped = [number for number, row in enumerate(labels) if row.box]
    numbers = evenly(swapped or range(len(labels)), count)
    places = [(index + 0.5) / count for index in range(count)]
    videos = {
        "target": layout.real_video(level, target),
        "swap": layout.fake_video(level, fake),
        **{kind: layout.mask_video(kind, fake) for kind in MASKS},
    }
    rows = {"source": _of_source(layout, source, fake, level, count)}
    for view, video in videos.items():
        if not video.is_file():
            continue
        if labels:
            rows[view] = [
                Cell(
                    str(video),
                    labels[number].frame if view == "target" else number,
                    box=labels[number].box,
                    words=f"frame {labels[number].frame}" if view == "target" else "",
                )
                for number in numbers
            ]
        else:
            rows[view] = [Cell(str(video), place=place) for place in places]
    return rows


def _of_source(layout: Layout, source: str, fake: str, level: str, count: int) -> list[Cell]:
    """Return faces of the source, in the boxes of the fake that has its frames."""
    video = layout.real_video(level, source)
    if not video.is_file():
        return []
    mirrored = f"{source}_{fake.partition('_')[0]}"
    shown: list[tuple[int, Box]] = [(row.frame, row.box) for row in _labels(layout, mirrored) if row.box]
    if not shown:
        return [Cell(str(video), place=(index + 0.5) / count) for index in range(count)]
    return [Cell(str(video), frame, box=box) for frame, box in evenly(shown, count)]


def _of_samples(
    layout: Layout, fake: str, count: int, record: FakeRecord | None, run: RunRecord | None
) -> dict[str, list[Cell]]:
    source, folder = fake.partition("_")[2], layout.run_folder()
    known = run.sequences[source].samples if run and source in run.sequences else []
    faces = known or [views[""] for views in find_samples(layout, source).values() if "" in views]
    recorded = record.samples if record else []
    samples = evenly(recorded or samples_of(find_samples(layout, fake), faces), count)

    def cells(view: str) -> list[Cell]:
        names = [(sample.frame, str(getattr(sample, view))) for sample in samples]
        return [
            Cell(inside(folder, name), is_picture=True, words=f"frame {frame}" if view == "target" else "")
            for frame, name in names
            if name
        ]

    return {view: cells(view) for view in VIEWS}


def inside(folder: Path, name: str) -> str:
    """Return the path of a picture; an empty one if a record that others made names a file outside the folder."""
    path = (folder / name).resolve()
    return str(path) if path.is_relative_to(folder.resolve()) and path.is_file() else ""


def _labels(layout: Layout, fake: str) -> Sequence[LabelRow]:
    path = layout.labels(fake)
    return codec.from_json(LabelFile, path.read_bytes()).frames if path.is_file() else ()
