"""The tables of the exports `parquet` and `croissant`, and Croissant's metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from facefoundry.codec import JsonObject
from facefoundry.dataset.file_digests import sha256_of
from facefoundry.exports.croissant import DOCUMENT
from facefoundry.exports.croissant_document import with_digests
from facefoundry.exports.parquet import FRAMES, METADATA

__all__ = ["croissant", "frames", "metadata"]


def metadata(folder: str, videos: Sequence[JsonObject]) -> Iterator[None]:
    """Write `metadata.parquet`."""
    from facefoundry.exports.makers import arrow

    arrow.write_metadata(Path(folder) / METADATA, videos)
    yield


def frames(folder: str, sequences: Sequence[JsonObject], **sources: str) -> Iterator[None]:
    """Write `frames.parquet`; `sources` are the paths of labels and alignments, by their names in `sequences`."""
    from facefoundry.exports.makers import arrow

    yield from arrow.write_frames(Path(folder) / FRAMES, sequences, sources)


def croissant(
    folder: str, videos: Sequence[JsonObject], sequences: Sequence[JsonObject], document: JsonObject, **sources: str
) -> Iterator[None]:
    """Write both tables, and `croissant.json`, the given document with their digests."""
    yield from metadata(folder, videos)
    yield from frames(folder, sequences, **sources)
    digests = {name: sha256_of(Path(folder) / name) for name in (METADATA, FRAMES)}
    text = json.dumps(with_digests(document, digests), indent=1)
    (Path(folder) / DOCUMENT).write_text(f"{text}\n", encoding="utf-8")
    yield
