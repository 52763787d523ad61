"""A contact sheet: one PNG with its captions, which notebooks show as it is."""

from __future__ import annotations

import base64
import html
from dataclasses import dataclass
from pathlib import Path

from facefoundry.dataset import files

__all__ = ["Sheet"]


@dataclass(frozen=True)
class Sheet:
    """A contact sheet.

    Attributes:
        title: What it shows.
        captions: The captions of its rows, from the top.
        png: The picture.
    """

    title: str
    captions: tuple[str, ...]
    png: bytes

    def save(self, path: str | Path) -> Path:
        """Write the picture to a file, and return its path."""
        files.write(Path(path), self.png)
        return Path(path)

    def __repr__(self) -> str:
        return f"Sheet({self.title!r}, {len(self.captions)} rows, {len(self.png)} bytes)"

    def _repr_png_(self) -> bytes:
        return self.png

    def _repr_html_(self) -> str:
        words = html.escape(". ".join((self.title, *self.captions)), quote=True)
        picture = base64.b64encode(self.png).decode("ascii")
        return f'<img alt="{words}" style="max-width:100%" src="data:image/png;base64,{picture}">'
