"""Reads the manifest of a video. It runs in a sandbox, as others may have made the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from facefoundry import codec
from facefoundry.codec import JsonObject
from facefoundry.provenance import c2pa_files

__all__ = ["read"]


def read(path: str, anchors: str) -> Iterator[JsonObject]:
    """Yield what the manifest of a video says, one `Found`; nothing if it has none.

    Args:
        path: Path of the video.
        anchors: PEM certificates of the authorities to trust, as `c2pa_files.read` takes them.

    Raises:
        Unusable: the file is no MP4 file (NOT_MP4).
    """
    found = c2pa_files.read(Path(path), anchors)
    if found is not None:
        yield codec.to_values(found)
