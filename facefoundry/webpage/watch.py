"""Keeps the newest record of a dataset, so that no request waits for it to be read."""

from __future__ import annotations

import gzip
import hashlib
import logging
import threading
from dataclasses import dataclass
from typing import Final

from facefoundry.dataset.record import PairRecord
from facefoundry.errors import FaceFoundryError
from facefoundry.report.render import index_page, pair_page
from facefoundry.report.snapshot import Snapshot, Snapshots
from facefoundry.report.source import Source
from facefoundry.webpage.links import WebLinks

__all__ = ["Page", "Watch"]

_logger = logging.getLogger(__name__)
_OLD: Final = "The record could not be read, so this page is old: "


@dataclass(frozen=True)
class Page:
    """A page as it is sent: its bytes, the same compressed by gzip, and a text that no other page has."""

    data: bytes
    compressed: bytes
    tag: str

    @classmethod
    def of(cls, text: str) -> Page:
        """Return a page with this text."""
        data = text.encode()
        return cls(data, gzip.compress(data, 5, mtime=0), hashlib.sha256(data).hexdigest()[:32])


class Watch:
    """Holds the newest record of one dataset. Many threads may use it at once.

    Args:
        source: The files of the dataset.
        in_list: Whether the page is below a list of runs.

    Attributes:
        source: The files of the dataset.
        snapshot: The newest record.

    Raises:
        NotFound: there is no run record.
        InvalidInput: the run record has another format or a wrong field; the message names it.
    """

    def __init__(self, source: Source, *, in_list: bool = False) -> None:
        self.source, self._in_list = source, in_list
        self._snapshots = Snapshots(source)
        self._reading, self._rendering = threading.Lock(), threading.Lock()
        self._failure = ""
        self._index: tuple[str, Page] | None = None
        self.snapshot: Snapshot = self._snapshots.load()
        self.index()

    def read(self) -> None:
        """Read the record again, and render the page. If that fails, the one before stays, and the page says so."""
        with self._reading:
            try:
                self.snapshot = self._snapshots.load()
                self._failure = ""
                self.index()
            except Exception as error:  # whatever is wrong with one record, others are still read
                if not isinstance(error, FaceFoundryError):
                    _logger.exception("The record of %s could not be read", self.source.place)
                self._failure = _OLD + (error.message if isinstance(error, FaceFoundryError) else str(error))

    def index(self) -> Page:
        """Return the page with all pairs. It is rendered once for each record."""
        with self._rendering:
            snapshot = self.snapshot
            version = f"{snapshot.version} {self._failure}"
            if self._index is None or self._index[0] != version:
                links = WebLinks(self.source, "", in_list=self._in_list)
                text = index_page(snapshot, self._snapshots, links, run_folder=self.source.place, notice=self._failure)
                self._index = version, Page.of(text)
            return self._index[1]

    def pair(self, pair_id: str) -> str | None:
        """Return the page of a pair; None if the run has no such pair.

        Raises:
            InvalidInput: the record of the pair has a wrong field; the message names it.
        """
        snapshot = self.snapshot  # another thread may replace it
        if pair_id not in snapshot.run.pairs:
            return None
        record: PairRecord = self._snapshots.pair(snapshot, pair_id)
        return pair_page(snapshot, record, WebLinks(self.source, "../", in_list=self._in_list))
