"""Where the pages of a report find each other, and pictures and videos."""

from __future__ import annotations

import base64
import os
from abc import ABC, abstractmethod
from pathlib import Path
from urllib.parse import quote

from facefoundry.dataset.layout import Layout
from facefoundry.report.source import Source

__all__ = ["EmbeddedPictures", "FileLinks", "Links", "balance_page_of"]


def balance_page_of(layout: Layout) -> Path:
    """Return the path of the page with the tables and bars of the check of the balance."""
    return layout.run_folder() / "balance.html"


class Links(ABC):
    """Makes the links of one page.

    Attributes:
        style: Link to the style sheet; None to embed it.
        script: Link to the script; None to embed it.
        home: Link to the page with all pairs.
        runs: Link to the list of runs; None if there is none.
        balance: Link to the tables and bars of the check of the balance; None if there are none.
    """

    style: str | None = None
    script: str | None = None
    home: str = ""
    runs: str | None = None
    balance: str | None = None

    @abstractmethod
    def pair(self, pair_id: str) -> str | None:
        """Return the link to a pair; None if it has no page."""

    @abstractmethod
    def picture(self, file: str) -> str | None:
        """Return the link to a picture; None if there is none.

        Args:
            file: Its path relative to the run's folder, as the record has it.
        """

    @abstractmethod
    def video(self, kind: str, level: str, item: str) -> str | None:
        """Return the link to a video; None if there is none.

        Args:
            kind: `real` or `fake`.
            level: Name of the compression level.
            item: Id of the sequence or the fake.
        """


class EmbeddedPictures:
    """Embeds pictures as data URIs, up to a total size.

    Attributes:
        left_out: Number of pictures that are not embedded because the total size would exceed the budget.
    """

    def __init__(self, source: Source, budget_bytes: int) -> None:
        self._source, self._left, self.left_out = source, budget_bytes, 0

    def embed(self, file: str) -> str | None:
        """Return a picture as a data URI; None if there is none, or no space is left for it."""
        data = self._source.picture(file) if file else None
        if data is None:
            return None
        if len(data) > self._left:
            self.left_out += 1
            return None
        self._left -= len(data)
        return "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")


class FileLinks(Links):
    """Links between files of a dataset's folder, relative to the page.

    Args:
        source: The files of the dataset.
        page: Path of the page.
        pages: Folder of the pages of pairs, and of style and script; None if pairs have none.
        pictures: Embeds the pictures of a page that has sections of all pairs; None to link to pictures.
    """

    def __init__(
        self,
        source: Source,
        page: Path,
        pages: Path | None,
        pictures: EmbeddedPictures | None,
    ) -> None:
        self._source, self._folder, self._pages, self._pictures = source, page.parent, pages, pictures
        self.home = self._relative(source.layout.report_page())
        tables = balance_page_of(source.layout)
        self.balance = self._relative(tables) if tables.is_file() else None
        if pages is not None:
            self.style, self.script = self._relative(pages / "style.css"), self._relative(pages / "script.js")

    def pair(self, pair_id: str) -> str | None:
        """Return the link to the page of a pair, or to its section on this page."""
        if self._pages is not None:
            return self._relative(self._pages / f"{pair_id}.html")
        return f"#pair-{pair_id}" if self._pictures is not None else None

    def picture(self, file: str) -> str | None:
        """Return a picture as a data URI, or the link to it."""
        if self._pictures is not None:
            return self._pictures.embed(file)
        if self._source.picture(file) is None:
            return None
        return self._relative(self._source.layout.run_folder() / file)

    def video(self, kind: str, level: str, item: str) -> str | None:
        """Return the link to a video."""
        path = self._source.video_path(kind, level, item)
        if path is None or self._source.video(kind, level, item) is None:
            return None
        return self._relative(path)

    def _relative(self, path: Path) -> str:
        return quote(Path(os.path.relpath(path, self._folder)).as_posix())
