"""Brings a source, or a fake as a source, from the store to local files. `dataset.sources` is the writing side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from facefoundry.errors import DataLoss
from facefoundry.storage import manifest
from facefoundry.storage.store import Store

__all__ = ["LocalSource", "fetch_source"]

_FAKE = "raw.mp4"


@dataclass(frozen=True)
class LocalSource:
    """A source on local disk.

    Attributes:
        uri: Where it came from.
        content_digest: SHA-256 of what it holds.
        paths: The video file, or the tars of frames in order.
        frame_rate: Numerator and denominator for tars of frames; a video has its own.
        size: Bytes.
    """

    uri: str
    content_digest: str
    paths: tuple[Path, ...]
    frame_rate: tuple[int, int] | None
    size: int


def fetch_source(store: Store, uri: str, folder: Path, field: str = "source_uri") -> LocalSource:
    """Fetch `s3://<bucket>/sources/<digest>`, or the lossless video of `s3://<bucket>/conversions/<digest>`.

    Raises:
        InvalidInput: the URI is malformed or names a bucket that is not ours.
        NotFound: there is no such source.
        DataLoss: stored bytes are not what was written.
    """
    kind = "conversions" if "/conversions/" in uri else "sources"
    record = manifest.load(store, store.prefix_of(uri, kind, field))
    if kind == "conversions":
        parts = [record.part(_FAKE)]
    elif record.info.get("kind") == "frames":
        parts = sorted((part for part in record.parts if part.name.startswith("frames-")), key=lambda part: part.name)
    else:
        parts = [part for part in record.parts if part.name.startswith("source")]
    if not parts:
        raise DataLoss(f"The manifest of {uri} names no source files.", reason="BAD_MANIFEST", resource=uri)
    paths = tuple(manifest.fetch_part(store, part, folder / part.name) for part in parts)
    return LocalSource(
        uri=uri,
        content_digest=record.content_digest,
        paths=paths,
        frame_rate=_rate(record.info.get("frame_rate"), uri) if kind == "sources" else None,
        size=sum(part.size for part in parts),
    )


def _rate(text: object, uri: str) -> tuple[int, int] | None:
    if text is None:
        return None
    try:
        numerator, _, denominator = str(text).partition("/")
        return int(numerator), int(denominator)
    except ValueError as error:
        raise DataLoss(
            f"The manifest of {uri} has the frame rate {text!r}.", reason="BAD_MANIFEST", resource=uri
        ) from error
