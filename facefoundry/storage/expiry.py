"""Deletes old objects by the rules of the bucket, where the server does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from itertools import islice

from minio import Minio

from facefoundry.errors import NotFound
from facefoundry.storage.rights import LIFECYCLE, Rule
from facefoundry.storage.store import Store, StoredObject

__all__ = ["expire"]

_BATCH = 100
"""Objects that are looked at again and then deleted together."""


def _now() -> datetime:
    return datetime.now(timezone.utc)


def expire(store: Store, now: Callable[[], datetime] = _now) -> dict[str, int]:
    """Delete what is older than the rules say. Old versions of objects are left.

    The age of an object is looked at again right before it is deleted, so one that was written again stays.

    Args:
        store: The bucket.
        now: Returns the time, UTC.

    Returns:
        How many objects, or unfinished uploads, each rule deleted.
    """
    counts = {}
    for rule in LIFECYCLE:
        if rule.objects:
            counts[rule.name] = _delete_objects(store, rule, now() - timedelta(days=rule.objects))
        elif rule.unfinished:
            counts[rule.name] = _abort_uploads(store, rule, now() - timedelta(days=rule.unfinished))
    return counts


def _delete_objects(store: Store, rule: Rule, before: datetime) -> int:
    listed = (item.key for item in store.objects(rule.prefix) if _is_older(item, before))
    count = 0
    while keys := list(islice(listed, _BATCH)):
        # An object may have been written again since it was listed.
        old = [key for key in keys if _is_still_older(store, key, before)]
        store.delete(old)
        count += len(old)
    return count


def _is_older(item: StoredObject, before: datetime) -> bool:
    return item.modified is not None and item.modified < before


def _is_still_older(store: Store, key: str, before: datetime) -> bool:
    """Return whether the object of a key is still there and older than a time."""
    try:
        return _is_older(store.stat(key), before)
    except NotFound as error:
        if error.reason != "NO_SUCH_OBJECT":
            raise
        return False


def _abort_uploads(store: Store, rule: Rule, before: datetime) -> int:
    def old(client: Minio) -> list[tuple[str, str]]:
        return [(key, upload) for key, upload, begun in _uploads(client, store.bucket, rule.prefix) if begun < before]

    found = store.request("unfinished uploads", old)
    for key, upload in found:
        store.request(key, partial(_abort, store.bucket, key, upload))
    return len(found)


# The library has no public methods for the two requests of unfinished uploads.


def _abort(bucket: str, key: str, upload: str, client: Minio) -> None:
    client._abort_multipart_upload(bucket, key, upload)


def _uploads(client: Minio, bucket: str, prefix: str) -> Iterator[tuple[str, str, datetime]]:
    """Yield the key, the id and the begin of each unfinished upload."""
    key_marker = upload_marker = None
    while True:
        page = client._list_multipart_uploads(
            bucket, prefix=prefix, key_marker=key_marker, upload_id_marker=upload_marker
        )
        for upload in page.uploads:
            if upload.initiated_time:
                yield upload.object_name, upload.upload_id or "", upload.initiated_time
        if not page.is_truncated:
            return
        key_marker, upload_marker = page.next_key_marker, page.next_upload_id_marker
