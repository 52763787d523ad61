"""JSON documents that contain their own SHA-256, for objects whose keys do not contain it.

The digest detects a byte that changed in transit or in the store, such as a digit that became another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from facefoundry.codec import JsonObject
from facefoundry.errors import DataLoss

__all__ = ["from_bytes", "to_bytes"]

_DIGEST = "sha256"


def to_bytes(values: Mapping[str, object]) -> bytes:
    """Encode JSON values as a document, with their SHA-256 in the field `sha256`."""
    return json.dumps({**values, _DIGEST: _digest(values)}, indent=1, sort_keys=True).encode()


def from_bytes(data: bytes) -> JsonObject:
    """Decode a document, check its digest, and return the JSON values without it.

    Raises:
        DataLoss: the bytes are not a document, or have changed since `to_bytes` returned them (BAD_DOCUMENT).
    """
    try:
        values = json.loads(data)
        written = values.pop(_DIGEST)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise DataLoss(f"Expected a JSON object with a field {_DIGEST!r}: {error}", reason="BAD_DOCUMENT") from error
    received = _digest(values)
    if received != written:
        raise DataLoss(f"Expected a document with SHA-256 {written}. Received {received}.", reason="BAD_DOCUMENT")
    return dict(values)


def _digest(values: Mapping[str, object]) -> str:
    """Return the SHA-256 of JSON values. It does not depend on spaces or on the order of fields."""
    text = json.dumps(json.loads(json.dumps(values)), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
