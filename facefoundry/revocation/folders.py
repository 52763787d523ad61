"""Removes clips from a dataset in a folder: first from its records, then their files."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path

from facefoundry import report
from facefoundry.dataset.file_digests import FileDigests
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.layouts import layout_of
from facefoundry.dataset.plan import Pair
from facefoundry.dataset.statements import ChangedPlace
from facefoundry.dataset.version import DatasetIndex
from facefoundry.dataset.version_places import folder_index
from facefoundry.errors import InvalidInput
from facefoundry.provenance.datasheet import write_datasheet
from facefoundry.revocation.records import both_fakes, change_records, remove, require_ids
from facefoundry.storage.parts import ALIGNMENTS, MASKS

__all__ = ["change_folder", "index_without", "write_pages"]


def change_folder(place: ChangedPlace) -> None:
    """Remove clips and pairs from the folder of a dataset, and make its pages again. Repeating it finishes the rest.

    The records name nothing more that is removed before it is, so they are right whenever this is stopped.

    Raises:
        NotFound: there is no run record (NO_RUN).
        InvalidInput: a record or a list is damaged, a file cannot be read, an id is none (SEQUENCE_ID), or a folder
            with such files is a link to elsewhere (OUTSIDE). Nothing has been changed then.
        DataLoss: the file of the rights is damaged (RIGHTS_FILE).
    """
    layout = layout_of(Path(place.where))
    require_ids(place.where, place.clips, place.pairs)
    paths = set(_files(layout, place))
    _require_inside(layout, paths)
    digests = FileDigests(layout)
    index = index_without(folder_index(layout, digests), place)
    change_records(layout, place, "" if index.is_empty else index.version)
    for path in paths:
        remove(path)
    digests.forget_missing()
    write_pages(layout)


def index_without(index: DatasetIndex, place: ChangedPlace) -> DatasetIndex:
    """Return the index of a dataset without the clips and pairs that are removed."""
    gone = set(both_fakes(place.pairs))

    def kept(pairs: list[Pair]) -> list[Pair]:
        return [pair for pair in pairs if pair.id not in gone]

    return DatasetIndex(
        {clip: found for clip, found in index.clips.items() if clip not in place.clips},
        {fake: found for fake, found in index.fakes.items() if fake not in gone},
        {name: kept(pairs) for name, pairs in index.splits.items()},
    )


def write_pages(layout: Layout, *, with_pages: bool = True) -> None:
    """Make the report and the datasheet of a folder again, where it has them."""
    if layout.report_page().is_file():
        report.ReportWriter(layout, with_pages=with_pages).write()
    if (layout.root / "datasheet.md").is_file():
        write_datasheet(layout)


def _files(layout: Layout, place: ChangedPlace) -> Iterator[Path]:
    """Yield the files and folders of what is removed that are there, manifests beside stripped videos too."""
    run = layout.run_folder()
    for fake in map(glob.escape, both_fakes(place.pairs)):
        for path in (
            layout.fake_video("*", fake).with_suffix(".*"),
            *(layout.mask_video(kind, fake).with_suffix(".*") for kind in MASKS),
            layout.labels(fake),
            layout.models() / fake,
            run / fake,
        ):
            yield from layout.root.glob(path.relative_to(layout.root).as_posix())
    for clip in map(glob.escape, place.clips):
        alignments = layout.alignments(clip)
        for path in (
            layout.real_video("*", clip).with_suffix(".*"),
            layout.faces(clip),
            alignments,
            alignments.with_suffix(Path(ALIGNMENTS).suffix),
            run / clip,
        ):
            yield from layout.root.glob(path.relative_to(layout.root).as_posix())


def _require_inside(layout: Layout, paths: set[Path]) -> None:
    """Refuse to remove what lies outside the dataset, behind a folder that is a link."""
    root = layout.root.resolve()
    for path in sorted(paths):
        if not path.parent.resolve().is_relative_to(root):
            raise InvalidInput(
                f"Expected the files of a dataset in {layout.root}. Received {path}, which a link leads to "
                f"{path.parent.resolve()}. Move that folder into the dataset, or remove the link.",
                reason="OUTSIDE",
            )
