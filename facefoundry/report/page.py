"""Writes the report of a run from the files in the dataset's folder, without any service."""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from pathlib import Path

from facefoundry.dataset.files import write as write_file
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.run_folder import is_pair_id
from facefoundry.report.links import EmbeddedPictures, FileLinks
from facefoundry.report.render import asset, index_page, pair_page
from facefoundry.report.snapshot import Snapshot, Snapshots
from facefoundry.report.source import FolderSource

__all__ = ["ONE_PAGE_PAIRS", "ReportWriter", "pages_folder", "write"]

ONE_PAGE_PAIRS = 12
"""Most pairs whose report is one page; with more, each pair has a page of its own."""

_PICTURE_BUDGET_BYTES = 24 << 20


class ReportWriter:
    """Writes the report of one run again and again. Pages of pairs that did not change stay.

    Args:
        layout: Names the paths of the run record, its pictures and the pages.
        with_pages: Whether pairs get pages of their own if there are many. They need the pictures beside them.
    """

    def __init__(self, layout: Layout, *, with_pages: bool = True) -> None:
        self._layout, self._with_pages = layout, with_pages
        self._source = FolderSource(layout)
        self._snapshots = Snapshots(self._source)
        self._written = set[str]()

    def write(self) -> Path:
        """Write the report, and return the path of its page with all pairs.

        Raises:
            NotFound: there is no run record.
            InvalidInput: the run record has another format or a wrong field; the message names it.
        """
        snapshot = self._snapshots.load()
        page, pages = self._layout.report_page(), pages_folder(self._layout)
        is_one_page = len(snapshot.pairs) <= ONE_PAGE_PAIRS
        paged = frozenset(snapshot.run.pairs) if self._with_pages and not is_one_page else frozenset[str]()
        if paged:
            self._write_pages(snapshot, pages, paged)
        self._remove_others(pages, paged)
        inline = EmbeddedPictures(self._source, _PICTURE_BUDGET_BYTES) if is_one_page else None
        links = FileLinks(self._source, page, pages if paged else None, inline)
        run_folder = self._layout.run_folder().relative_to(self._layout.root).as_posix()
        text = index_page(snapshot, self._snapshots, links, today=date.today(), run_folder=run_folder, inline=inline)
        write_file(page, text.encode())
        return page

    def _write_pages(self, snapshot: Snapshot, pages: Path, paged: frozenset[str]) -> None:
        for name in ("style.css", "script.js"):
            write_file(pages / name, asset(name).encode())
        for pair_id in sorted(paged & snapshot.changed | paged - self._written):
            page = pages / f"{pair_id}.html"
            links = FileLinks(self._source, page, pages, None)
            text = pair_page(snapshot, self._snapshots.pair(snapshot, pair_id), links, today=date.today())
            write_file(page, text.encode())
            self._written.add(pair_id)

    def _remove_others(self, pages: Path, paged: frozenset[str]) -> None:
        """Remove the pages of pairs that have none any more."""
        for path in pages.glob("*_*.html"):
            if is_pair_id(path.stem) and path.stem not in paged:
                path.unlink(missing_ok=True)
                self._written.discard(path.stem)
        if not paged and pages.is_dir():
            for name in ("style.css", "script.js"):
                (pages / name).unlink(missing_ok=True)
            with suppress(OSError):  # it holds something else
                pages.rmdir()


def pages_folder(layout: Layout) -> Path:
    """Return the folder of the pages of pairs, beside the page with all of them."""
    page = layout.report_page()
    return page.with_name(f"{page.stem}-pages")


def write(layout: Layout) -> Path:
    """Write the report of a dataset run, and return the path of its page with all pairs.

    It raises the errors of `ReportWriter.write`.

    Args:
        layout: Names the paths of the run record, its pictures and the pages.
    """
    return ReportWriter(layout).write()
