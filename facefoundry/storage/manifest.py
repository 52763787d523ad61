"""Reads and writes the manifest of a prefix and its parts.

A prefix holds one result: parts, which are objects whose keys contain their SHA-256, and `manifest.json`, which is
written last. A prefix is committed once it has a manifest; readers ignore other prefixes, and refuse one that was
revoked. Two processes that write the same result at once therefore leave a consistent one, and a repeated call finds
the parts of an interrupted one.

Every read is verified: a part by the SHA-256 in its key and its size in the manifest, the manifest as a document. If
the check fails, the object is read once more, because the bytes may have changed only in transit.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeVar

from pydantic import Field

from facefoundry import __version__, codec
from facefoundry.codec import JsonValue
from facefoundry.errors import Conflict, DataLoss, Denied, NotFound
from facefoundry.storage import document
from facefoundry.storage.conditional import REFUSALS, put_if_absent
from facefoundry.storage.revocation import refuse_revoked
from facefoundry.storage.store import Store
from facefoundry.storage.usage import Usage

__all__ = [
    "Manifest",
    "Part",
    "commit",
    "content_type",
    "fetch_part",
    "find_parts",
    "load",
    "load_if_committed",
    "load_if_right",
    "load_with_file",
    "part_of_key",
    "put_part",
    "read_part",
]

_BLOCK = 1 << 20
_NAME = "manifest.json"
_FORMAT: Final = "facefoundry.manifest/3"
_KEY = re.compile(r"(?P<stem>[A-Za-z0-9_.-]+?)-(?P<sha256>[0-9a-f]{64})(?P<suffix>\.[A-Za-z0-9.]+)?")
_UNKNOWN_SIZE = -1
_PART_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TYPES = {".json": "application/json", ".mp4": "video/mp4", ".jpg": "image/jpeg", ".tar": "application/x-tar"}

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
Info = TypeVar("Info", bound="DataclassInstance")


@dataclass(frozen=True)
class Part:
    """One object of a prefix.

    Attributes:
        name: Name of the part, such as `faces-00000.tar`.
        key: Key of the object; it contains the SHA-256.
        size: Size in bytes. It is -1 for unknown, but never in a manifest.
        sha256: SHA-256 of the bytes, 64 hex digits.
    """

    name: str
    key: str
    size: Annotated[int, Field(ge=0, lt=2**53)]
    sha256: str

    @property
    def has_size(self) -> bool:
        """Whether the size is known."""
        return self.size != _UNKNOWN_SIZE


@dataclass(frozen=True)
class Manifest:
    """The record of a committed prefix.

    Attributes:
        kind: `source`, `extraction`, `model`, `conversion`, `transcoding`, `checkpoint` or `weights`.
        inputs: URIs and digests of what the result was made from.
        options: The recipe fields that were used.
        parts: The parts of the result, at most 10,000.
        info: Facts about the result; `info_as` reads them as one of the classes of `storage.info`.
        content_digest: SHA-256 of the decoded content (frames, masks, labels, tensors), which depends neither on times
            nor on encodings; of a source that of its files, of weights that of their parts, of a checkpoint empty.
        created: When the manifest was made, UTC, ISO 8601.
        versions: Versions of the software that made the result, by name.
        usage: What making the result used; None if unknown.
        format: Format of the file `manifest.json`.
        signature: Of a checkpoint or model, by the worker that made it, 64 hex digits; empty for others.
    """

    kind: str
    inputs: Mapping[str, JsonValue]
    options: Mapping[str, JsonValue]
    parts: Annotated[tuple[Part, ...], Field(max_length=10_000)]
    info: Mapping[str, JsonValue]
    content_digest: str
    created: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))
    versions: dict[str, str] = field(default_factory=lambda: {"facefoundry": __version__})
    usage: Usage | None = None
    format: Literal["facefoundry.manifest/3"] = _FORMAT
    signature: str = ""

    def part(self, name: str) -> Part:
        """Return the part of that name.

        Raises:
            NotFound: the prefix has no such part.
        """
        for part in self.parts:
            if part.name == name:
                return part
        raise NotFound(
            f"This {self.kind} has no part {name!r}. Its parts are {', '.join(part.name for part in self.parts)}.",
            reason="NO_SUCH_PART",
            resource=name,
        )

    def info_as(self, kind: type[Info]) -> Info:
        """Read the field `info` as one of the dataclasses of `storage.info`.

        Raises:
            DataLoss: a fact is missing or has another type (BAD_MANIFEST).
        """
        try:
            return codec.from_values(kind, self.info)
        except DataLoss as error:
            message = f"The manifest of this {self.kind} is damaged: {error.message}"
            raise DataLoss(message, reason="BAD_MANIFEST") from error


def content_type(name: str) -> str:
    """Return the media type of a part or manifest, such as `video/mp4`."""
    _, dot, suffix = name.partition(".")
    return _TYPES.get(dot + suffix, "application/octet-stream")


def put_part(store: Store, prefix: str, name: str, data: bytes | Path) -> Part:
    """Write a part, and return its record.

    Args:
        store: The object store.
        prefix: Prefix of the part.
        name: Name of the part, `<stem><suffix>`; its key is `<prefix>/<stem>-<sha256><suffix>`.
        data: Content of the part, or the file that contains it.
    """
    stem, dot, suffix = name.partition(".")
    if isinstance(data, bytes):
        sha256, size = hashlib.sha256(data).hexdigest(), len(data)
        key = f"{prefix}/{stem}-{sha256}{dot}{suffix}"
        store.put_bytes(key, data, content_type(name))
    else:
        hashed = hashlib.sha256()
        with data.open("rb") as file:
            while block := file.read(_BLOCK):
                hashed.update(block)
                store.check_cancelled()
        sha256, size = hashed.hexdigest(), data.stat().st_size
        key = f"{prefix}/{stem}-{sha256}{dot}{suffix}"
        store.put_file(key, data, content_type(name))
    return Part(name=name, key=key, size=size, sha256=sha256)


def find_parts(store: Store, prefix: str) -> dict[str, Part]:
    """Return the stored parts of a prefix by name, whether the prefix has a manifest or not."""
    found = {}
    for key, size in store.sizes(prefix + "/"):
        base = key.removeprefix(prefix + "/")
        match = _KEY.fullmatch(base)
        if match:
            name = match["stem"] + (match["suffix"] or "")
            found[name] = Part(name=name, key=key, size=size, sha256=match["sha256"])
    return found


def commit(
    store: Store,
    prefix: str,
    manifest: Manifest,
    *,
    replace: bool = False,
    keeps: Callable[[Manifest], bool] | None = None,
) -> Manifest:
    """Write the manifest of a prefix, which makes it visible to readers. All its parts must be stored before.

    A manifest that another process has written first is kept, on stores that have conditional writes.

    Args:
        store: The object store.
        prefix: The prefix.
        manifest: The manifest.
        replace: Whether to write over a manifest, as checkpoints do.
        keeps: Returns whether a manifest that is stored already is a right one. One that is not, or that is damaged, is
            written over. None keeps any manifest.

    Returns:
        The manifest that is in the store now.

    Raises:
        Internal: a number cannot be stored (NUMBER), or the manifest is too large (DOCUMENT_SIZE).
        Unusable: the result, its content or one of its inputs was revoked (REVOKED).
        DataLoss: there was a manifest, and it is damaged; without `keeps`.
    """
    key, data = f"{prefix}/{_NAME}", document.encode(manifest)
    refuse_revoked(store, prefix, manifest.content_digest, *map(str, manifest.inputs.values()))
    if replace:
        document.put(store, key, data)
        return manifest
    try:
        put_if_absent(store, key, data)
    except Conflict:
        kept = load(store, prefix) if keeps is None else load_if_right(store, prefix, keeps)
        if kept is not None:
            return kept
        document.put(store, key, data)
    except Denied as error:
        if error.reason not in REFUSALS:
            raise
        document.put(store, key, data)
    return manifest


def load_if_right(store: Store, prefix: str, is_right: Callable[[Manifest], bool]) -> Manifest | None:
    """Read the manifest of a prefix; None if the prefix has none, or one that is damaged or not right."""
    try:
        found = load_if_committed(store, prefix)
        return found if found is not None and is_right(found) else None
    except DataLoss:
        return None


def load(store: Store, prefix: str) -> Manifest:
    """Read the manifest of a prefix.

    Raises:
        NotFound: the prefix has no manifest (NOT_COMMITTED).
        DataLoss: the manifest is damaged (BAD_MANIFEST).
        Unusable: the result was revoked (REVOKED), or a newer version of FaceFoundry wrote it (NEWER_FORMAT).
    """
    return load_with_file(store, prefix)[0]


def load_with_file(store: Store, prefix: str) -> tuple[Manifest, Part]:
    """Read the manifest of a prefix, and return it with the record of its own file. It raises the errors of `load`."""
    key = f"{prefix}/{_NAME}"
    refuse_revoked(store, prefix)
    try:
        data = document.read(store, key)
        found = document.parse(Manifest, data, key)
        for part in found.parts:
            folder, _, base = part.key.rpartition("/")
            match = _KEY.fullmatch(base)
            is_right = match is not None and (folder, match["sha256"]) == (prefix, part.sha256)
            if not is_right or not _PART_NAME.fullmatch(part.name):
                raise DataLoss(f"Expected parts of {key} below {prefix}/. Received part {part.name!r} at {part.key!r}.")
    except NotFound as error:
        if error.reason != "NO_SUCH_OBJECT":
            raise
        raise NotFound(
            f"{store.uri(prefix)} does not exist or is not finished.",
            reason="NOT_COMMITTED",
            resource=store.uri(prefix),
        ) from error
    except DataLoss as error:
        raise DataLoss(error.message, reason="BAD_MANIFEST", resource=key) from error
    return found, Part(_NAME, key, len(data), hashlib.sha256(data).hexdigest())


def load_if_committed(store: Store, prefix: str) -> Manifest | None:
    """Read the manifest of a prefix; None if the prefix has none."""
    try:
        return load(store, prefix)
    except NotFound as error:
        if error.reason != "NOT_COMMITTED":
            raise
        return None


def read_part(store: Store, part: Part) -> bytes:
    """Read a part into memory.

    Raises:
        DataLoss: the bytes have changed (DIGEST_MISMATCH), have another size (WRONG_SIZE) or are gone (PART_MISSING).
    """

    def read() -> bytes:
        data = store.get_bytes(part.key, _size(part))
        _verify(part, hashlib.sha256(data).hexdigest())
        return data

    return _read_with_retry(part, read)


def fetch_part(store: Store, part: Part, path: Path) -> Path:
    """Read a part into a file, and return its path. The file appears only once all its bytes are verified.

    Raises:
        DataLoss: the bytes have changed (DIGEST_MISMATCH), have another size (WRONG_SIZE) or are gone (PART_MISSING).
    """
    partial = path.with_name(path.name + ".partial")
    try:
        _read_with_retry(part, lambda: _verify(part, store.get_file(part.key, partial, _size(part))))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def part_of_key(key: str) -> Part:
    """Return the record of the part with a key. Its size is unknown.

    Raises:
        DataLoss: the key does not have the form of a part's key (BAD_KEY).
    """
    match = _KEY.fullmatch(key.rpartition("/")[2])
    if match is None:
        raise DataLoss(f"Expected the key of a part. Received {key!r}.", reason="BAD_KEY", resource=key)
    return Part(name=match["stem"] + (match["suffix"] or ""), key=key, size=_UNKNOWN_SIZE, sha256=match["sha256"])


def _size(part: Part) -> int | None:
    return part.size if part.has_size else None


def _read_with_retry(part: Part, read: Callable[[], T]) -> T:
    """Read a part. If its bytes are wrong, read it once more."""
    try:
        try:
            return read()
        except DataLoss:
            return read()
    except NotFound as error:
        raise _lost(part) from error


def _verify(part: Part, sha256: str) -> None:
    if sha256 != part.sha256:
        raise DataLoss(
            f"{part.key} was written with SHA-256 {part.sha256} but now has {sha256}. "
            "Delete the prefix and repeat the request.",
            resource=part.key,
        )


def _lost(part: Part) -> DataLoss:
    return DataLoss(
        f"{part.key} is listed in a manifest but missing. Delete the prefix and repeat the request.",
        reason="PART_MISSING",
        resource=part.key,
    )
