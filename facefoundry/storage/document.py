"""Small JSON objects under fixed keys, which carry their own digest, as parts carry theirs in their keys.

Without it a byte that changed on its way or at rest could turn one number into another one, and nobody would know.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from facefoundry.errors import DataLoss

__all__ = ["from_bytes", "to_bytes"]

_DIGEST = "sha256"


def to_bytes(record: Mapping[str, Any]) -> bytes:
    """Write a record of JSON values, with its digest as one more field."""
    return json.dumps({**record, _DIGEST: _digest(record)}, indent=1, sort_keys=True).encode()


def from_bytes(data: bytes) -> dict[str, Any]:
    """Read what `to_bytes` wrote.

    Raises:
        DataLoss: it is something else by now.
    """
    try:
        record = json.loads(data)
        written = record.pop(_DIGEST)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise DataLoss(f"it is no JSON object with a digest of its own ({error})", reason="BAD_DOCUMENT") from error
    found = _digest(record)
    if found != written:
        raise DataLoss(f"it was written with SHA-256 {written} but now has {found}", reason="BAD_DOCUMENT")
    return dict(record)


def _digest(record: Mapping[str, Any]) -> str:
    """SHA-256 of the values, however they are spaced and ordered."""
    text = json.dumps(json.loads(json.dumps(record)), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
