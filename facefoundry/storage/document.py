"""JSON documents of the bucket: objects whose keys do not contain their digest, such as manifests and status reports.

The SHA-256 of a document's bytes is in the user metadata `sha256` of its object, the header `x-amz-meta-sha256`. One
request writes both, so readers see a document with its digest or the one before. The digest detects a byte that changed
in transit or in the store, such as a digit that became another. It covers bytes, so no reader needs this encoder.

A document has at most `MAX_BYTES`; a larger object is refused before it is read.

Every number survives in a reader that has only 64-bit floats. Larger integers, such as the seed of a recipe, are
strings.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, TypeVar

from facefoundry import codec
from facefoundry.codec import JsonValue
from facefoundry.errors import DataLoss, Internal, NotFound
from facefoundry.formats import format_of, refuse_newer_json
from facefoundry.storage.store import Store

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["MAX_BYTES", "encode", "find", "get", "parse", "put", "read"]

MAX_BYTES = 4 << 20
"""Largest size of a document, bytes. The manifest of 10,000 parts has 3 MB."""

_DIGEST = "sha256"
_MAX_INTEGER = 2**53 - 1

T = TypeVar("T", bound="DataclassInstance")


def encode(record: DataclassInstance) -> bytes:
    """Encode a dataclass as the bytes of a document.

    Raises:
        Internal: a number is not finite, or is an integer that a 64-bit float cannot hold; the message names its field
            (NUMBER); or the document is larger than `MAX_BYTES` (DOCUMENT_SIZE).
    """
    values = codec.to_values(record)
    _check_numbers(values, type(record).__name__)
    data = json.dumps(values, indent=1, sort_keys=True).encode()
    if len(data) > MAX_BYTES:
        raise Internal(
            f"Expected a {type(record).__name__} of at most {MAX_BYTES} bytes. It has {len(data)}.",
            reason="DOCUMENT_SIZE",
        )
    return data


def put(store: Store, key: str, data: bytes) -> None:
    """Write the bytes of a document, and their digest with them."""
    store.put_bytes(key, data, "application/json", {_DIGEST: hashlib.sha256(data).hexdigest()})


def get(store: Store, key: str, kind: type[T]) -> T:
    """Read a document, check its digest, and return it as a dataclass.

    Raises:
        NotFound: there is no such object.
        DataLoss: the bytes have changed, have no digest, or are not the JSON of the dataclass; the message names the
            key (BAD_DOCUMENT).
        Unusable: a newer version of FaceFoundry wrote it (NEWER_FORMAT).
    """
    return parse(kind, read(store, key), key)


def find(store: Store, key: str, kind: type[T]) -> T | None:
    """Read a document as `get` does; None if there is no such object.

    Raises:
        DataLoss: as in `get`.
        Unusable: as in `get`.
    """
    try:
        return get(store, key, kind)
    except NotFound as error:
        if error.reason != "NO_SUCH_OBJECT":
            raise
        return None


def read(store: Store, key: str) -> bytes:
    """Read the bytes of a document and check their digest. If it is wrong, read them once more.

    Raises:
        NotFound: there is no such object.
        DataLoss: the bytes have changed, or have no digest; the message names the key (BAD_DOCUMENT).
    """
    try:
        try:
            return _read(store, key)
        except DataLoss as error:
            if error.reason == "WRONG_SIZE":  # it would be as large again
                raise
            return _read(store, key)
    except DataLoss as error:
        raise _damaged(key, error) from error


def parse(kind: type[T], data: bytes | str, key: str) -> T:
    """Return the text of a document as a dataclass.

    Raises:
        DataLoss: it is not the JSON of the dataclass; the message names the key (BAD_DOCUMENT).
        Unusable: a newer version of FaceFoundry wrote it (NEWER_FORMAT).
    """
    refuse_newer_json(data, format_of(kind), key)
    try:
        return codec.from_json(kind, data)
    except DataLoss as error:
        raise _damaged(key, error) from error


def _damaged(key: str, error: DataLoss) -> DataLoss:
    return DataLoss(f"{key} is damaged. {error.message}", reason="BAD_DOCUMENT", resource=key)


def _read(store: Store, key: str) -> bytes:
    data, metadata = store.get_with_metadata(key, MAX_BYTES)
    written, received = metadata.get(_DIGEST), hashlib.sha256(data).hexdigest()
    if written is None:
        raise DataLoss(
            f"Expected its SHA-256 in x-amz-meta-{_DIGEST}. Received no such header: another program wrote it, or "
            "copied it without its metadata."
        )
    if received != written:
        raise DataLoss(f"It was written with SHA-256 {written} but now has {received}.")
    return data


def _check_numbers(value: JsonValue, name: str) -> None:
    """Raise Internal if a number within a value cannot be read back by every reader of JSON."""
    match value:
        case dict():
            for field, item in value.items():
                _check_numbers(item, f"{name}.{field}")
        case list():
            for index, item in enumerate(value):
                _check_numbers(item, f"{name}.{index}")
        case float() if not math.isfinite(value):
            raise Internal(f"Expected a finite number in {name}. Received {value}.", reason="NUMBER")
        case int() if abs(value) > _MAX_INTEGER:
            raise Internal(f"Expected an integer of at most 2^53 - 1 in {name}. Received {value}.", reason="NUMBER")
