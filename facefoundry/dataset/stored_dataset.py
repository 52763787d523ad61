"""A dataset in a bucket: its place, and the documents that say which files it has.

manifest.json               written last; lists the pairs and the digests of their indexes
misc/index/<A>_<B>.json     written after all files of the pair; lists them with sizes and digests
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Annotated, Final, Literal

from pydantic import Field

from facefoundry import __version__
from facefoundry.codec import JsonObject
from facefoundry.dataset.gates import FailedGate
from facefoundry.errors import InvalidInput, NotFound
from facefoundry.settings import StoreSettings
from facefoundry.storage import document, keys
from facefoundry.storage.store import Store

__all__ = [
    "LISTS",
    "MANIFEST",
    "REPORT",
    "DatasetManifest",
    "DatasetPlace",
    "IndexedFake",
    "IndexedFile",
    "PairEntry",
    "PairIndex",
    "is_uri",
]

MANIFEST: Final = "manifest.json"
LISTS: Final = "lists"
"""The kind of the filelist and of the splits."""
REPORT: Final = "report"
"""The kind of the run record, the report and its pictures."""
_FORMAT: Final = "facefoundry.dataset.manifest/1"
_PAIR_FORMAT: Final = "facefoundry.dataset.pair/1"
_URI = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<prefix>.*?)/*")


@dataclass(frozen=True)
class IndexedFile:
    """A file of a dataset.

    Attributes:
        path: Its path in the dataset; `/` separates folders.
        kind: What it is: a compression level, the kind of a mask, `labels`, `models`, `faces`,
            `lists` for filelist and splits, or `report`.
        size: Size in bytes.
        sha256: SHA-256 of its bytes, 64 hex digits.
    """

    path: str
    kind: str
    size: Annotated[int, Field(ge=0, lt=2**53)]
    sha256: str


@dataclass(frozen=True)
class IndexedFake:
    """What was measured of a fake, and which gates it did not pass.

    Attributes:
        id: `<target>_<source>`.
        quality: Measurements, by name; docs/quality.md has a table of them.
        failed: The gates that the fake did not pass.
        dropped: Whether a gate left it out of the dataset: it has no files.
    """

    id: str
    quality: dict[str, float | None]
    failed: tuple[FailedGate, ...] = ()
    dropped: bool = False


@dataclass(frozen=True)
class PairIndex:
    """The files of a pair: of its two fakes, its two real videos and, if they were asked for, model and faces.

    Attributes:
        id: Id of the pair.
        files: The files, by path. Two pairs of one clip both list its real videos.
        fakes: The fakes, those that were dropped too.
        rights: SHA-256 of the record of the rights to each clip, or `unstated`, by id of the clip.
        format: Format of this document.
    """

    id: str
    files: tuple[IndexedFile, ...]
    fakes: tuple[IndexedFake, ...] = ()
    rights: dict[str, str] = field(default_factory=dict)
    format: Literal["facefoundry.dataset.pair/1"] = _PAIR_FORMAT


@dataclass(frozen=True)
class PairEntry:
    """A pair of a dataset.

    Attributes:
        id: Id of the pair.
        index: SHA-256 of its index; empty if the pair failed.
        reason: Reason of the failure; empty if it did not fail.
    """

    id: str
    index: str = ""
    reason: str = ""


@dataclass(frozen=True)
class DatasetManifest:
    """The record of a finished dataset.

    Attributes:
        name: Name of the run that made it.
        layout: Name of the layout of its paths.
        recipe: All fields of the recipe.
        pairs: The pairs, in order, those that failed too.
        files: The files that belong to no pair: report, run record, filelist and splits.
        version: The version of the dataset, a digest of its content; empty if it has no videos.
        created: When this manifest was made, UTC, ISO 8601.
        versions: Versions of the software, by name.
        format: Format of this document.
    """

    name: str
    layout: str
    recipe: JsonObject
    pairs: tuple[PairEntry, ...]
    files: tuple[IndexedFile, ...]
    version: str = ""
    created: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))
    versions: dict[str, str] = field(default_factory=lambda: {"facefoundry": __version__})
    format: Literal["facefoundry.dataset.manifest/1"] = _FORMAT


@dataclass(frozen=True)
class DatasetPlace:
    """The place of a dataset: a prefix of a bucket.

    Attributes:
        bucket: Name of the bucket.
        prefix: The prefix, without `/` at its end.
    """

    bucket: str
    prefix: str

    @classmethod
    def of(cls, text: str, settings: StoreSettings) -> DatasetPlace:
        """Return the place that a URI, or a name below `datasets/` of the bucket of the settings, names.

        Raises:
            InvalidInput: it is neither, or lies elsewhere in the bucket of the results (OUTPUT).
        """
        match = _URI.fullmatch(text)
        if match is None:
            if is_uri(text):
                raise _wrong(text)
            return cls(settings.bucket, keys.dataset(text))
        place = cls(match["bucket"], match["prefix"])
        segments = place.prefix.split("/")
        if {"", ".", ".."} & set(segments):
            raise _wrong(text)
        if place.bucket == settings.bucket and (segments[0] != "datasets" or len(segments) < 2):
            message = f"Expected a place below s3://{place.bucket}/datasets/, as this bucket holds the results of the "
            message += f"services. Received {text!r}."
            raise InvalidInput(message, reason="OUTPUT")
        return place

    @property
    def uri(self) -> str:
        """The URI, with `/` at its end."""
        return f"s3://{self.bucket}/{self.prefix}/"

    def key(self, path: str) -> str:
        """Return the key of a file."""
        return f"{self.prefix}/{path}"

    def index_path(self, pair_id: str) -> str:
        """Return the path of the index of a pair."""
        return f"misc/index/{pair_id}.json"

    def manifest(self, store: Store) -> DatasetManifest | None:
        """Read the manifest; None if there is none, as the dataset is not finished.

        Args:
            store: The bucket.

        Raises:
            DataLoss: it is damaged (BAD_DOCUMENT).
            Unusable: a newer version of FaceFoundry wrote it (NEWER_FORMAT).
        """
        key = self.key(MANIFEST)
        data = _read(store, key)
        return document.parse(DatasetManifest, data, key) if data is not None else None

    def index(self, store: Store, pair_id: str) -> tuple[PairIndex, str] | None:
        """Read the index of a pair, and return it with the SHA-256 of its bytes; None if there is none.

        It raises the errors of `manifest`.
        """
        key = self.key(self.index_path(pair_id))
        data = _read(store, key)
        return (document.parse(PairIndex, data, key), hashlib.sha256(data).hexdigest()) if data is not None else None


def is_uri(text: str) -> bool:
    """Return whether a text is meant as a URI and not as a folder."""
    return text.startswith("s3:")


def _read(store: Store, key: str) -> bytes | None:
    try:
        return document.read(store, key)
    except NotFound as error:
        if error.reason != "NO_SUCH_OBJECT":
            raise
        return None


def _wrong(text: str) -> InvalidInput:
    message = f"Expected a place such as s3://bucket/datasets/NAME/. Received {text!r}."
    return InvalidInput(message, reason="OUTPUT")
