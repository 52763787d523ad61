"""Keeps the newest record of a dataset, so that no request waits for it to be read."""

from __future__ import annotations

import gzip
import hashlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Final

from facefoundry.dataset.record import PairRecord
from facefoundry.errors import FaceFoundryError
from facefoundry.report.render import index_page, pair_page, with_notice
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
        today: Returns the day by which the end of rights is judged.

    Attributes:
        source: The files of the dataset.
        snapshot: The newest record.

    Raises:
        NotFound: there is no run record.
        InvalidInput: the run record has another format or a wrong field; the message names it.
    """

    def __init__(self, source: Source, *, in_list: bool = False, today: Callable[[], date] = date.today) -> None:
        self.source, self._in_list, self._today = source, in_list, today
        self._snapshots, self._reading = Snapshots(source), threading.Lock()
        self.snapshot: Snapshot = self._snapshots.load()
        self._day = today()
        self._text, self._failure = self._render(self.snapshot, self._day), ""
        self._index = Page.of(self._text)

    def read(self) -> None:
        """Read the record again, and render the page. If that fails, the one before stays, and the page says so."""
        with self._reading:
            text, failure = self._text, ""
            try:
                snapshot = self._snapshots.load()
                day = self._today()
                if (snapshot.version, day) != (self.snapshot.version, self._day):
                    text = self._render(snapshot, day)
                self.snapshot, self._day = snapshot, day
            except Exception as error:  # whatever is wrong with one record, others are still read
                if not isinstance(error, FaceFoundryError):
                    _logger.exception("The record of %s could not be read", self.source.place)
                failure = _OLD + (error.message if isinstance(error, FaceFoundryError) else str(error))
            if (text, failure) != (self._text, self._failure):
                self._text, self._failure = text, failure
                self._index = Page.of(with_notice(text, failure))

    def index(self) -> Page:
        """Return the page with all pairs. It is rendered when a record is read, so that no request waits for it."""
        return self._index

    def pair(self, pair_id: str) -> str | None:
        """Return the page of a pair; None if the run has no such pair.

        Raises:
            InvalidInput: the record of the pair has a wrong field; the message names it.
        """
        snapshot = self.snapshot  # another thread may replace it
        if pair_id not in snapshot.run.pairs:
            return None
        record: PairRecord = self._snapshots.pair(snapshot, pair_id)
        return pair_page(snapshot, record, WebLinks(self.source, "../", in_list=self._in_list), today=self._today())

    def _render(self, snapshot: Snapshot, day: date) -> str:
        links = WebLinks(self.source, "", in_list=self._in_list)
        return index_page(snapshot, self._snapshots, links, today=day, run_folder=self.source.place)
