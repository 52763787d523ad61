"""Lists the clips of a bucket, for sources of the kind `s3`."""

from __future__ import annotations

from collections.abc import Iterator

from facefoundry.errors import InvalidInput
from facefoundry.planning.clips import ListedObject, ListObjects
from facefoundry.settings import StoreSettings
from facefoundry.storage.store import Store

__all__ = ["lister"]


def lister(settings: StoreSettings) -> ListObjects:
    """Return a function that lists the objects below a prefix, with the keys of these settings.

    The function raises:
        InvalidInput: the settings have no keys of the object store (NO_KEYS).
    """

    def list_objects(prefix: str) -> Iterator[ListedObject]:
        if not settings.has_keys:
            raise InvalidInput(
                f"Listing {prefix} needs keys of the object store. Set FACEFOUNDRY_STORE_ENDPOINT, "
                "FACEFOUNDRY_STORE_ACCESS_KEY and FACEFOUNDRY_STORE_SECRET_KEY, or name the objects in a list.",
                reason="NO_KEYS",
            )
        bucket, _, below = prefix.removeprefix("s3://").partition("/")
        store = Store(settings.model_copy(update={"bucket": bucket}))
        return (ListedObject(f"s3://{bucket}/{found.key}", found.size, found.etag) for found in store.objects(below))

    return list_objects
