"""Finds stored models. An imported model counts only below the digest of its tensors.

The content digest in the manifest of a model is computed again from the tensors by whoever uses them.
"""

from __future__ import annotations

from facefoundry.errors import DataLoss
from facefoundry.storage import keys, manifest
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.store import Store

__all__ = ["belongs", "find_model", "prefix_of_import"]


def prefix_of_import(content_digest: str) -> str:
    """Return the prefix of an imported model.

    Args:
        content_digest: Content digest of its tensors.
    """
    return keys.imported(keys.digest_of({"tensors": content_digest}))


def belongs(prefix: str, model: Manifest) -> bool:
    """Return whether a model may have a prefix: that of an imported model is made of the digest in its manifest."""
    return not prefix.startswith("imports/") or prefix == prefix_of_import(model.content_digest)


def find_model(store: Store, prefix: str) -> Manifest:
    """Read the manifest of a trained or imported model.

    Raises:
        NotFound: there is no such model (NOT_COMMITTED).
        DataLoss: its manifest is damaged, or that of another model (BAD_MANIFEST).
    """
    found = manifest.load(store, prefix)
    if not belongs(prefix, found):
        uri = store.uri(prefix)
        message = (
            f"Expected the model of {uri} there. Received the manifest of another model: another program wrote it. "
            "Import the model again."
        )
        raise DataLoss(message, reason="BAD_MANIFEST", resource=uri)
    return found
