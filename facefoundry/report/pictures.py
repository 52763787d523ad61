"""Embeds the pictures of a run in its report, as data URIs."""

from __future__ import annotations

import base64
from pathlib import Path

__all__ = ["Pictures"]

_JPEG = b"\xff\xd8\xff"


class Pictures:
    """Embeds JPEG files of one folder, up to a total size.

    Args:
        folder: Paths are relative to it. No file outside of it is read.
        budget_bytes: Largest total size of the embedded files.

    Attributes:
        left_out: Number of pictures that would have exceeded that size.
    """

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self._folder = folder.resolve()
        self._left = budget_bytes
        self.left_out = 0

    def embed(self, file: str) -> str | None:
        """Return the data URI of a file; None if it is missing, outside the folder, not a JPEG, or too much."""
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
