"""Which stored parts make a source, and bringing parts to local files. `dataset.sources` is the writing side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from facefoundry.errors import DataLoss
from facefoundry.storage import keys, manifest
from facefoundry.storage.manifest import Manifest, Part
from facefoundry.storage.parts import FRAMES, RAW, SOURCE
from facefoundry.storage.store import Store

__all__ = ["SourceFiles", "fetch", "find_source"]


@dataclass(frozen=True)
class SourceFiles:
    """A source in the store.

    Attributes:
        uri: Where it is.
        digest: Digest in its URI.
        content_digest: SHA-256 of what it holds.
        files: Parts by local name, in order; the names show in messages.
        frame_rate: Numerator and denominator for tars of frames; a video has its own.
        rights: On which basis it may be used.
    """

    uri: str
    digest: str
    content_digest: str
    files: dict[str, Part]
    frame_rate: tuple[int, int] | None
    rights: str

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(part.size for part in self.files.values())


def find_source(store: Store, uri: str, name: str, field: str = "source_uri") -> SourceFiles:
    """Find `s3://<bucket>/sources/<digest>`, or the lossless video of `s3://<bucket>/conversions/<digest>`.

    Args:
        store: Where it is.
        uri: Its URI.
        name: Id of the sequence; local files are called after it.
        field: Name of the URI in messages.

    Raises:
        InvalidInput: the URI is malformed or names a bucket that is not ours.
        NotFound: there is no such source.
        DataLoss: its manifest makes no sense.
    """
    kind = "conversions" if "/conversions/" in uri else "sources"
    record = manifest.load(store, store.prefix_of(uri, kind, field))
    is_frames = kind == "sources" and record.info.get("kind") == "frames"
    if kind == "conversions":
        parts = [record.part(RAW)]
    elif is_frames:
        parts = sorted((part for part in record.parts if FRAMES.matches(part.name)), key=lambda part: part.name)
    else:
        parts = [part for part in record.parts if part.name.startswith(SOURCE)][:1]
    if not parts:
        raise DataLoss(f"The manifest of {uri} names no source files.", reason="BAD_MANIFEST", resource=uri)
    labels = [name] if len(parts) == 1 else [f"{name}-{index:05d}" for index in range(len(parts))]
    return SourceFiles(
        uri=uri,
        digest=keys.Location.parse(uri, kind, field).digest,
        content_digest=record.content_digest,
        files={label + PurePosixPath(part.name).suffix: part for label, part in zip(labels, parts, strict=True)},
        frame_rate=_frame_rate(record, uri) if is_frames else None,
        rights=str(record.info.get("rights", "unstated")),
    )


def fetch(store: Store, files: Mapping[str, Part], folder: Path) -> Iterator[tuple[int, int]]:
    """Fetch parts into a folder under their local names.

    Yields:
        Bytes done and bytes in all, before the first and after each part.

    Raises:
        DataLoss: stored bytes are not what was written.
    """
    total, done = sum(part.size for part in files.values()), 0
    yield done, total
    for name, part in files.items():
        manifest.fetch_part(store, part, folder / name)
        done += part.size
        yield done, total


def _frame_rate(record: Manifest, uri: str) -> tuple[int, int]:
    numerator, _, denominator = str(record.info.get("frame_rate", "")).partition("/")
    if not (numerator.isdigit() and denominator.isdigit() and int(numerator) and int(denominator)):
        raise DataLoss(
            f"A source of frames says its rate as 25/1. Received {record.info.get('frame_rate')!r} in {uri}.",
            reason="BAD_MANIFEST",
            resource=uri,
        )
    return int(numerator), int(denominator)
