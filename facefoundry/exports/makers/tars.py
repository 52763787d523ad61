"""Writes the tars of the export `webdataset`. Equal samples give equal bytes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from facefoundry import archive
from facefoundry.codec import JsonObject

__all__ = ["write"]

_BLOCK = 512
_END = bytes(2 * _BLOCK)


def write(folder: str, path: str, members: Sequence[JsonObject], **sources: str) -> Iterator[None]:
    """Write a tar.

    Args:
        folder: The folder for it.
        path: Its path in the folder.
        members: Its members in order: `name`, and `text` or the name of a `source`.
        sources: Paths of files, by name.
    """
    with (Path(folder) / path).open("wb") as tar:
        for member in members:
            name, text = str(member["name"]), member["text"]
            if text is not None:
                data = str(text).encode()
                tar.write(archive.header(name, len(data)) + data)
                size = len(data)
            else:
                source = Path(sources[str(member["source"])])
                size = source.stat().st_size
                tar.write(archive.header(name, size))
                with source.open("rb") as file:
                    shutil.copyfileobj(file, tar)
            tar.write(bytes(-size % _BLOCK))
            yield
        tar.write(_END)
