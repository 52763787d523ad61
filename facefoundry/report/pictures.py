"""The report's pictures: JPEG files beside the record, embedded as data URIs."""

from __future__ import annotations

import base64
from pathlib import Path

__all__ = ["Pictures"]

_JPEG = b"\xff\xd8\xff"


class Pictures:
    """Embeds JPEG files of one folder until a budget is spent.

    Args:
        folder: Paths are relative to it, and nothing outside it is read.
        budget_bytes: Bytes of JPEG that may be embedded in all.
    """

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self._folder = folder.resolve()
        self._left = budget_bytes
        self.left_out = 0

    def embed(self, file: str | None) -> str | None:
        """A data URI; None when the file is missing, outside the folder, no JPEG or beyond the budget."""
        if not file:
            return None
        path = (self._folder / file).resolve()
        if not path.is_relative_to(self._folder) or not path.is_file():
            return None
        data = path.read_bytes()
        if not data.startswith(_JPEG):
            return None
        if len(data) > self._left:
            self.left_out += 1
            return None
        self._left -= len(data)
        return "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")
