"""The links of the served pages. They are relative, so that the page can be below any path."""

from __future__ import annotations

from urllib.parse import quote

from facefoundry.report.links import Links
from facefoundry.report.source import Source

__all__ = ["WebLinks"]


class WebLinks(Links):
    """Links of a page.

    Args:
        source: The files of the dataset.
        up: How the page reaches the one with all pairs: empty for that page itself, `../` for that of a pair.
        in_list: Whether the page is below a list of runs.
    """

    def __init__(self, source: Source, up: str, *, in_list: bool) -> None:
        self._source, self._up = source, up
        self.balance = f"{up}balance"
        self.home, self.runs = up or "./", f"{up}../../" if in_list else None
        self.style, self.script = f"{up}style.css", f"{up}script.js"

    def pair(self, pair_id: str) -> str:
        """Return the link to the page of a pair."""
        return f"{self._up}pair/{quote(pair_id)}"

    def picture(self, file: str) -> str | None:
        """Return the link to a picture, if its path has the right form. Whether it is there shows when it is loaded."""
        return f"{self._up}picture/{quote(file)}" if self._source.is_picture(file) else None

    def video(self, kind: str, level: str, item: str) -> str | None:
        """Return the link to a video; None if there is none."""
        if self._source.video(kind, level, item) is None:
            return None
        return f"{self._up}video/{kind}/{quote(level)}/{quote(item)}"
