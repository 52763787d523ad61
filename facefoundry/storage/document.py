"""JSON documents under fixed keys. Each holds its own digest, as the keys of parts hold theirs.

Without the digest, a byte that changed in transit or at rest could turn one number into another, unnoticed.
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
    """Encode JSON values, with their digest as one more field."""
    return json.dumps({**values, _DIGEST: _digest(values)}, indent=1, sort_keys=True).encode()


def from_bytes(data: bytes) -> JsonObject:
    """Decode a document and check its digest.

    Raises:
        DataLoss: the bytes are not such a document, or have changed since they were written (BAD_DOCUMENT).
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
    """Return the SHA-256 of JSON values, which does not depend on spaces and the order of fields."""
    text = json.dumps(json.loads(json.dumps(values)), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
