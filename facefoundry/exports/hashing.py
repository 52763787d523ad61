"""The digest of what an item of an export depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from facefoundry.exports.plan import Copied, Item, Written

__all__ = ["item_digest"]


def item_digest(item: Item, digest_of: Callable[[Path], str], revision: int) -> str:
    """Return the SHA-256 of all that the files of an item depend on.

    Args:
        item: The item.
        digest_of: Returns the SHA-256 of a file of the dataset.
        revision: Revision of the format.
    """
    if isinstance(item, Written):
        return hashlib.sha256(item.data).hexdigest()
    if isinstance(item, Copied):
        return digest_of(item.source)
    sources = {name: digest_of(path) for name, path in item.sources.items()}
    parts = [revision, item.function, item.outputs, sources, item.arguments]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
