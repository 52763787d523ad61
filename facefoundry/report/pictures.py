"""Embeds the pictures of a run in its report page as data URIs."""

from __future__ import annotations

import base64
from pathlib import Path

__all__ = ["Pictures"]

_JPEG = b"\xff\xd8\xff"


class Pictures:
    """Embeds JPEG files of one folder, up to a total size.

    Args:
        folder: Folder of the pictures. No file outside this folder is read.
        budget_bytes: Largest total size of the embedded files.

    Attributes:
        left_out: Number of pictures that are not embedded because the total size would exceed `budget_bytes`.
    """

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self._folder = folder.resolve()
        self._left = budget_bytes
        self.left_out = 0

    def embed(self, file: str) -> str | None:
        """Return a picture as a data URI.

        Args:
            file: Path of the picture, relative to the folder.

        Returns:
            The data URI; None if the file is missing, outside the folder or not a JPEG, or if the total size would
            exceed `budget_bytes`.
        """
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
