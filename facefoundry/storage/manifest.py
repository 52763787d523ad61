"""The commit record of a prefix: what made it and which parts it has.

A part's key contains the part's SHA-256; only `manifest.json` has a fixed name and is written last. So any of two
racing writers leaves a consistent result, a prefix without a manifest does not exist for readers, and the finished
parts of a cut-off writer are found again by name.

Everything is verified when it is read, the manifest by a digest of its own, and read once more when it is not what was
written: bytes that changed on their way are no loss.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

from facefoundry import __version__
from facefoundry.errors import DataLoss, NotFound
from facefoundry.storage import document
from facefoundry.storage.store import Store

__all__ = [
    "Manifest",
    "Part",
    "commit",
    "fetch_part",
    "find_parts",
    "load",
    "load_if_committed",
    "part_of_key",
    "put_part",
    "read_part",
]

FORMAT = "facefoundry.manifest/2"
_NAME = "manifest.json"
_KEY = re.compile(r"(?P<stem>[A-Za-z0-9_.-]+?)-(?P<sha256>[0-9a-f]{64})(?P<suffix>\.[A-Za-z0-9.]+)?")
_PART_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TYPES = {".json": "application/json", ".mp4": "video/mp4", ".jpg": "image/jpeg", ".tar": "application/x-tar"}

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """One object of a prefix. `size` is in bytes, `sha256` has 64 hex digits."""

    name: str
    key: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a committed prefix is.

    Attributes:
        kind: `source`, `extraction`, `model`, `conversion`, `transcoding` or `checkpoint`.
        inputs: What it was made of; URIs and digests.
        options: The recipe fields that were used.
        parts: Its objects.
        info: Facts about it for its readers; JSON values.
        content_digest: SHA-256 over decoded content (frames, masks, labels, tensors), free of times and encodings.
        created: UTC time, ISO 8601.
        versions: Software that made it.
    """

    kind: str
    inputs: dict[str, Any]
    options: dict[str, Any]
    parts: tuple[Part, ...]
    info: dict[str, Any]
    content_digest: str
    created: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))
    versions: dict[str, str] = field(default_factory=lambda: {"facefoundry": __version__})

    def part(self, name: str) -> Part:
        """The part of that name.

        Raises:
            NotFound: there is none.
        """
        for part in self.parts:
            if part.name == name:
                return part
        raise NotFound(
            f"This {self.kind} has no part {name!r}; it has {[part.name for part in self.parts]}.",
            reason="NO_SUCH_PART",
            resource=name,
        )


def put_part(store: Store, prefix: str, name: str, data: bytes | Path) -> Part:
    """Write a part from bytes or a file; its key is `<prefix>/<stem>-<sha256><suffix>`."""
    stem, dot, suffix = name.partition(".")
    content_type = _TYPES.get(dot + suffix, "application/octet-stream")
    if isinstance(data, bytes):
        sha256, size = hashlib.sha256(data).hexdigest(), len(data)
        key = f"{prefix}/{stem}-{sha256}{dot}{suffix}"
        store.put_bytes(key, data, content_type)
    else:
        with data.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = data.stat().st_size
        key = f"{prefix}/{stem}-{sha256}{dot}{suffix}"
        store.put_file(key, data, content_type)
    return Part(name=name, key=key, size=size, sha256=sha256)


def find_parts(store: Store, prefix: str) -> dict[str, Part]:
    """Parts that lie directly below a prefix, committed or not, by name."""
    found = {}
    for key, size in store.sizes(prefix + "/"):
        base = key.removeprefix(prefix + "/")
        match = _KEY.fullmatch(base)
        if match:
            name = match["stem"] + (match["suffix"] or "")
            found[name] = Part(name=name, key=key, size=size, sha256=match["sha256"])
    return found


def commit(store: Store, prefix: str, manifest: Manifest) -> None:
    """Make a prefix exist for readers. All its parts must have been put."""
    record = {"format": FORMAT, **asdict(manifest)}
    store.put_bytes(f"{prefix}/{_NAME}", document.to_bytes(record), "application/json")


def load(store: Store, prefix: str) -> Manifest:
    """Read a prefix's manifest.

    Raises:
        NotFound: the prefix is not committed.
        DataLoss: what lies there is not a manifest of ours.
    """
    key = f"{prefix}/{_NAME}"
    try:
        return store.get_parsed(key, lambda data: _parse(data, key, prefix))
    except NotFound as error:
        if error.reason != "NO_SUCH_OBJECT":
            raise
        raise NotFound(
            f"{store.uri(prefix)} does not exist or is not finished.",
            reason="NOT_COMMITTED",
            resource=store.uri(prefix),
        ) from error


def _parse(data: bytes, key: str, prefix: str) -> Manifest:
    try:
        record: Mapping[str, Any] = document.from_bytes(data)
        if record["format"] != FORMAT:
            raise ValueError(f"format {record['format']!r}")
        fields = {name: record[name] for name in Manifest.__dataclass_fields__}
        parts = tuple(Part(**part) for part in record["parts"])
        for part in parts:
            if not part.key.startswith(prefix + "/") or not _PART_NAME.fullmatch(part.name):
                raise ValueError(f"part {part.name!r} at {part.key!r} lies outside")
        return Manifest(**{**fields, "parts": parts})
    except (DataLoss, ValueError, KeyError, TypeError) as error:
        raise DataLoss(
            f"{key} is not a manifest that can be read ({error}).", reason="BAD_MANIFEST", resource=key
        ) from error


def load_if_committed(store: Store, prefix: str) -> Manifest | None:
    """Read a prefix's manifest, or nothing when the prefix is not committed."""
    try:
        return load(store, prefix)
    except NotFound as error:
        if error.reason != "NOT_COMMITTED":
            raise
        return None


def read_part(store: Store, part: Part) -> bytes:
    """Read a part into memory.

    Raises:
        DataLoss: it is not what was written, or gone.
    """

    def read() -> bytes:
        data = store.get_bytes(part.key)
        _verify(part, hashlib.sha256(data).hexdigest())
        return data

    return _read_with_retry(part, read)


def fetch_part(store: Store, part: Part, path: Path) -> Path:
    """Read a part into a file; the file appears only when it is right.

    Raises:
        DataLoss: it is not what was written, or gone.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        _read_with_retry(part, lambda: _verify(part, store.get_file(part.key, partial)))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def part_of_key(key: str) -> Part:
    """The part that a key names; its size is not known.

    Raises:
        DataLoss: it is no part's key.
    """
    match = _KEY.fullmatch(key.rpartition("/")[2])
    if match is None:
        raise DataLoss(f"{key} is not the key of a part.", reason="BAD_KEY", resource=key)
    return Part(name=match["stem"] + (match["suffix"] or ""), key=key, size=0, sha256=match["sha256"])


def _read_with_retry(part: Part, read: Callable[[], T]) -> T:
    """Read a part, once more if it is not what was written."""
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
            "Delete the prefix and make it again.",
            resource=part.key,
        )


def _lost(part: Part) -> DataLoss:
    return DataLoss(
        f"{part.key} is named by a manifest but gone. Delete the prefix and make it again.",
        reason="PART_MISSING",
        resource=part.key,
    )
