"""Tombstones: `revoked/<digest>.json` says that what has this digest was revoked, so nothing makes or reads it again.

A tombstone is written before anything is removed, and is never deleted. Its digest is one of two kinds: that in the
prefix of a result, or the SHA-256 of a content, such as a video or the record of the rights to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from facefoundry.errors import Conflict, Denied, Unusable
from facefoundry.storage import document, keys
from facefoundry.storage.conditional import REFUSALS, put_if_absent
from facefoundry.storage.store import Store

__all__ = ["REVOKED", "Tombstone", "bury", "digests_in", "refuse_revoked"]

REVOKED: Final = "REVOKED"
"""Reason of the error about what was revoked."""

_FORMAT: Final = "facefoundry.tombstone/1"
_FOLDER = "revoked/"
_DIGEST = re.compile(r"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{40})(?![0-9a-f])")


@dataclass(frozen=True)
class Tombstone:
    """What was revoked.

    Attributes:
        digest: Its digest, 40 or 64 hex digits.
        kind: What has this digest: a kind of results such as `extractions`, `content`, or `rights`.
        statement: Id of the statement about the revocation, `revoked/statements/<id>.json`.
        revoked: When it was revoked, UTC, ISO 8601.
        format: Format of this document.
    """

    digest: str
    kind: str
    statement: str
    revoked: str
    format: Literal["facefoundry.tombstone/1"] = _FORMAT


def bury(store: Store, tombstone: Tombstone) -> bool:
    """Write a tombstone unless there is one; return whether there was none."""
    key, data = keys.revoked(tombstone.digest), document.encode(tombstone)
    try:
        put_if_absent(store, key, data)
    except Conflict:
        return False
    except Denied as error:
        if error.reason not in REFUSALS:
            raise
        if store.exists(key):
            return False
        document.put(store, key, data)
    return True


def digests_in(text: str) -> Iterator[str]:
    """Yield the digests of prefixes and contents in a text, such as a key, a URI or JSON."""
    return (match[0] for match in _DIGEST.finditer(text))


def refuse_revoked(store: Store, *texts: str) -> None:
    """Refuse digests that were revoked.

    Args:
        store: The object store.
        texts: Keys, URIs or JSON with the digests.

    Raises:
        Unusable: one of them was (REVOKED).
    """
    digests = dict.fromkeys(digest for text in texts for digest in digests_in(text))
    if len(digests) > 1 and not store.objects(_FOLDER, limit=1):
        return
    for digest in digests:
        key = keys.revoked(digest)
        if store.exists(key):
            raise Unusable(
                f"Expected nothing that was revoked. Received {digest}, which was revoked ({store.uri(key)}). Leave "
                "its clip out of the dataset.",
                reason=REVOKED,
                metadata={"digest": digest},
                resource=store.uri(key),
            )
