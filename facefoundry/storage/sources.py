"""Finds and downloads stored sources (clips). The extractor stores them.

What a manifest says of a source's content is believed only if it leads to the prefix of the source, and what is read
only if it has that content. So nobody can put another clip in the place of one that others will import.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path, PurePosixPath

from facefoundry.errors import DataLoss, FieldViolation, InvalidInput, Unusable, from_record, to_record
from facefoundry.storage import frames, keys, manifest
from facefoundry.storage.info import SourceInfo
from facefoundry.storage.manifest import Manifest, Part
from facefoundry.storage.parts import FRAMES, RAW, SOURCE
from facefoundry.storage.store import Store

__all__ = ["SourceFiles", "fetch", "find_source", "leads_to", "naming", "prefix_of_source", "synthetic"]

_NO_ID = "source"


def prefix_of_source(content: Mapping[str, str], frame_rate: Fraction | None, *, tolerate_damage: bool) -> str:
    """Return the prefix of a source. How a clip is read is part of its digest where it was chosen.

    Args:
        content: The digest of the content, by its kind: `video` or `frames`.
        frame_rate: Frames per second that were given; None for a video that is read at its own.
        tolerate_damage: Whether damaged frames are labelled and not refused.
    """
    inputs: dict[str, object] = dict(content)
    if frame_rate is not None:
        inputs["frame_rate"] = f"{frame_rate.numerator}/{frame_rate.denominator}"
    if tolerate_damage:
        inputs["tolerate_damage"] = True
    return keys.source(keys.digest_of(inputs))


def leads_to(prefix: str, source: Manifest) -> bool:
    """Return whether what a manifest says of a source's content leads to a prefix: whether the source belongs there.

    Raises:
        DataLoss: a fact in the manifest is damaged (BAD_MANIFEST).
    """
    info = source.info_as(SourceInfo)
    rate = Fraction(*info.given_rate) if info.given_rate else None
    content: dict[str, str] = {info.kind: source.content_digest}
    return (info.kind == "frames" or [part.sha256 for part in source.parts] == [source.content_digest]) and (
        prefix == prefix_of_source(content, rate, tolerate_damage=info.tolerate_damage)
    )


def synthetic(uri: str, field: str, advice: str) -> InvalidInput:
    """Return the error about a result of the converter in place of a real clip; its copy would not be labelled.

    Args:
        uri: The URI.
        field: Name of the request field with the URI.
        advice: A sentence that says what to do.
    """
    return InvalidInput(
        f"Expected {field} of a real clip, below sources/ or uploads/. Received {uri}, a result of the converter, "
        f"which would lose its label `synthetic`. {advice}",
        reason="SYNTHETIC",
        violations=[FieldViolation(field, "must not be below conversions/")],
        resource=uri,
    )


@dataclass(frozen=True)
class SourceFiles:
    """A source in the store.

    Attributes:
        name: The local file name of a video, or the common part of the names of frames.
        sequence_id: Id of the sequence; empty if the caller gave none.
        uri: URI of the source.
        digest: The digest in the URI.
        content_digest: SHA-256 of the content.
        files: The parts by local file name, in order.
        frame_rate: Frames per second that were given, as numerator and denominator; None for a video that is read at
            its own.
        tolerate_damage: Whether damaged frames are labelled and not refused.
        rights: SHA-256 of the record of the rights to the clip; or `unstated`.
        pixels: Pixels of all frames together; 0 if the manifest does not say.
        is_frames: Whether the files are tars of frames, and not one video.
    """

    name: str
    sequence_id: str
    uri: str
    digest: str
    content_digest: str
    files: dict[str, Part]
    frame_rate: tuple[int, int] | None
    tolerate_damage: bool
    rights: str
    pixels: int = 0
    is_frames: bool = False

    @property
    def size(self) -> int:
        """Total size in bytes."""
        return sum(part.size for part in self.files.values())

    def named(self) -> AbstractContextManager[None]:
        """Name the source's URI in errors of the block about its local files."""
        return naming(self.uri, [self.name, *self.files], self.sequence_id)

    def verify(self, folder: Path) -> None:
        """Check that the files in a folder have the content of the source. That of a video is verified as it is read.

        Raises:
            DataLoss: they do not (DIGEST_MISMATCH).
        """
        if not self.is_frames:
            return
        try:
            found = frames.content_digest([folder / name for name in self.files])
        except DataLoss as error:
            raise DataLoss(f"{self.uri} is damaged. {error.message}", reason=error.reason, resource=self.uri) from error
        if found != self.content_digest:
            message = (
                f"Expected frames with the content digest {self.content_digest} in {self.uri}. Received frames with "
                f"{found}: another program wrote them. Import the clip again."
            )
            raise DataLoss(message, resource=self.uri)


@contextmanager
def naming(uri: str, files: Iterable[str], sequence_id: str = "") -> Iterator[None]:
    """Name a source's URI in errors of the block about its local files: several sources may have the same local names.

    Args:
        uri: URI of the source.
        files: Names of its local files. A frame in a tar is named `<name of the tar without suffix>/<frame>`.
        sequence_id: Id of the sequence, which its local files are named after; then their names stay in the message.

    Raises:
        Unusable: the block raised it; it names the URI.
    """
    try:
        yield
    except Unusable as error:
        local = error.resource
        file, _, frame = local.partition("/")
        if not local or file not in {name for known in files for name in (known, PurePosixPath(known).stem)}:
            raise
        whole = f"{frame} of {uri}" if frame else uri
        shown = f"{local} ({uri})" if sequence_id else whole
        message = error.message.replace(local, shown, 1) if local in error.message else f"{shown}: {error.message}"
        raise from_record(replace(to_record(error), message=message, resource=uri)) from error


def find_source(store: Store, uri: str, sequence_id: str = "", field: str = "source_uri") -> SourceFiles:
    """Find a source by its URI: an uploaded clip (`sources/`), or the lossless video of a conversion (`conversions/`).

    Args:
        store: The object store.
        uri: URI of the source.
        sequence_id: Id of the sequence, after which local files are named; empty if the caller gave none.
        field: Name of the request field with the URI, for messages.

    Raises:
        InvalidInput: the URI is malformed or names another bucket.
        NotFound: there is no such source.
        DataLoss: its manifest is damaged, or that of another clip (BAD_MANIFEST).
    """
    name = sequence_id or _NO_ID
    kind = "conversions" if "/conversions/" in uri else "sources"
    prefix = keys.prefix_of(store.bucket, uri, kind, field)
    committed = manifest.load(store, prefix)
    info = committed.info_as(SourceInfo)
    if kind == "conversions":
        parts = [committed.part(RAW)]
    elif info.kind == "frames":
        parts = sorted((part for part in committed.parts if FRAMES.matches(part.name)), key=lambda part: part.name)
    else:
        parts = [part for part in committed.parts if part.name.startswith(SOURCE)][:1]
    if not parts:
        raise DataLoss(
            f"Expected source files in the manifest of {uri}. Received none. Delete it and upload the clip again.",
            reason="BAD_MANIFEST",
            resource=uri,
        )
    if info.kind == "frames" and info.rate is None:
        message = f"Expected a frame_rate such as 25/1 in the manifest of {uri}. Received {info.frame_rate!r}."
        raise DataLoss(message, reason="BAD_MANIFEST", resource=uri)
    if kind == "sources" and not leads_to(prefix, committed):
        message = (
            f"Expected the clip of {uri} there. Received the manifest of another clip: another program wrote it. "
            "Import the clip again."
        )
        raise DataLoss(message, reason="BAD_MANIFEST", resource=uri)
    labels = [name] if len(parts) == 1 else [f"{name}-{index:05d}" for index in range(len(parts))]
    files = {label + PurePosixPath(part.name).suffix: part for label, part in zip(labels, parts, strict=True)}
    return SourceFiles(
        name=name if info.kind == "frames" else next(iter(files)),
        sequence_id=sequence_id,
        uri=uri,
        digest=prefix.removeprefix(f"{kind}/"),
        content_digest=committed.content_digest,
        files=files,
        frame_rate=info.given_rate,
        tolerate_damage=info.tolerate_damage,
        rights=info.rights,
        pixels=max(0, info.width) * max(0, info.height) * max(0, info.frame_count),
        is_frames=info.kind == "frames",
    )


def fetch(store: Store, files: Mapping[str, Part], folder: Path) -> Iterator[tuple[int, int]]:
    """Download parts into a folder under their local names.

    Yields:
        The downloaded bytes and the total bytes, before the first part and after each part.

    Raises:
        DataLoss: stored bytes have changed.
    """
    total, done = sum(part.size for part in files.values()), 0
    yield done, total
    for name, part in files.items():
        manifest.fetch_part(store, part, folder / name)
        done += part.size
        yield done, total
