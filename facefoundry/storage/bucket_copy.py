"""Copies all objects of a bucket to another store, and verifies each by its digest.

Manifests are copied last, so no result is visible at its destination before all its parts are. What an earlier copy
has stored is found and left as it is, so a copy that was stopped continues.

A target may be in use by now. So an object of it that differs from the source's and is newer is not written over,
unless the caller says so or the target's is damaged.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock

from facefoundry.errors import Conflict, DataLoss, NotFound
from facefoundry.storage import document
from facefoundry.storage.manifest import content_type
from facefoundry.storage.store import Store, StoredObject

__all__ = ["Progress", "copy_bucket"]

_PART = re.compile(r"-([0-9a-f]{64})(?:\.[^/]*)?$")
_FREE = re.compile(r"uploads/[^/]+/|runs/[^/]+/input/")


@dataclass(frozen=True)
class Progress:
    """How far a copy is.

    Attributes:
        objects: Number of objects in the bucket.
        size: Their bytes.
        copied: Objects that were copied and verified.
        copied_bytes: Their bytes.
        found: Objects that were stored at the destination before.
        found_bytes: Their bytes.
    """

    objects: int
    size: int
    copied: int = 0
    copied_bytes: int = 0
    found: int = 0
    found_bytes: int = 0

    def after(self, item: StoredObject, *, copied: bool) -> Progress:
        """Return the progress after one more object."""
        if copied:
            return replace(self, copied=self.copied + 1, copied_bytes=self.copied_bytes + item.size)
        return replace(self, found=self.found + 1, found_bytes=self.found_bytes + item.size)


def copy_bucket(
    source: Store,
    target: Store,
    *,
    parallel: int = 4,
    overwrite: bool = False,
    on_progress: Callable[[Progress], object] = lambda _: None,
) -> Progress:
    """Copy all objects of a bucket, with their digests. Objects that only the target has stay there.

    Args:
        source: The store to read. Nothing may write to it during the copy.
        target: The store to write. Its bucket exists.
        parallel: Number of objects that are copied at once; each needs its size in the folder for temporary files.
        overwrite: Whether to write over objects of the target that differ from the source's and are newer.
        on_progress: Called after each object, by one thread at a time.

    Returns:
        The progress at the end.

    Raises:
        Conflict: an object of the target differs from the source's and is newer (TARGET_NEWER).
        DataLoss: an object of the source does not have its digest, or arrived with another one (DIGEST_MISMATCH); or a
            document has no digest (BAD_DOCUMENT).
    """
    items = source.objects("")
    stored = {item.key: item for item in target.objects("")}
    progress, lock = Progress(len(items), sum(item.size for item in items)), Lock()

    def copy(item: StoredObject) -> None:
        nonlocal progress
        copied = _copy(source, target, item, stored.get(item.key), overwrite=overwrite)
        with lock:
            progress = progress.after(item, copied=copied)
            on_progress(progress)

    with ThreadPoolExecutor(parallel) as pool:
        for stage in _stages(items):
            pending = [pool.submit(copy, item) for item in stage]
            done, left = wait(pending, return_when=FIRST_EXCEPTION)
            for future in left:
                future.cancel()
            for future in done:
                future.result()
    return progress


def _stages(items: Iterable[StoredObject]) -> tuple[list[StoredObject], ...]:
    """Return the objects in three groups, each of which may refer to those before it."""
    stages: tuple[list[StoredObject], ...] = ([], [], [])
    for item in sorted(items, key=lambda item: item.key):
        stages[(2 if item.key.endswith("/manifest.json") else 1) if _is_document(item.key) else 0].append(item)
    return stages


def _is_document(key: str) -> bool:
    return key.endswith(".json") and not _PART.search(key) and not _FREE.match(key)


def _copy(source: Store, target: Store, item: StoredObject, stored: StoredObject | None, *, overwrite: bool) -> bool:
    """Copy an object unless the target has it; return whether it was copied."""
    if _is_document(item.key):
        return _copy_document(source, target, item, stored, overwrite=overwrite)
    if stored and (stored.size, stored.etag) == (item.size, item.etag):
        return False
    match = _PART.search(item.key)
    with tempfile.TemporaryDirectory(prefix="facefoundry-copy-") as folder:
        path = Path(folder) / "object"
        sha256 = source.get_file(item.key, path, item.size)
        if match and sha256 != match[1]:
            raise _mismatch(item.key, source, match[1], sha256)
        if stored and stored.size == item.size and _digest(target, item) == sha256:
            return False  # servers make the tags of large objects in different ways
        if not match and not overwrite:  # a part that differs is damaged
            _refuse_newer(target, item, stored)
        digest = {"sha256": sha256} if item.key.startswith("datasets/") else {}
        target.put_file(item.key, path, content_type(item.key.rpartition("/")[2]), digest)
    if (received := _digest(target, item)) != sha256:
        raise _mismatch(item.key, target, sha256, received)
    return True


def _copy_document(
    source: Store, target: Store, item: StoredObject, stored: StoredObject | None, *, overwrite: bool
) -> bool:
    key = item.key
    data = document.read(source, key)
    found = _document(target, key) if stored else None
    if found == data:
        return False
    if found is not None and not overwrite:
        _refuse_newer(target, item, stored)
    document.put(target, key, data)
    if document.read(target, key) != data:
        raise DataLoss(f"{key} arrived in {target.uri('')} with other bytes. Copy again.", resource=key)
    return True


def _refuse_newer(target: Store, item: StoredObject, stored: StoredObject | None) -> None:
    """Raise Conflict if the target's object was written after the source's (TARGET_NEWER)."""
    if stored and stored.modified and item.modified and stored.modified > item.modified:
        raise Conflict(
            f"Expected {item.key} in {target.uri('')} to be no newer than in the source, where it was written at "
            f"{item.modified.isoformat()}. It has other content, written at {stored.modified.isoformat()}, so the "
            "bucket may be in use. To replace this object and all others that are newer there, copy with --overwrite.",
            reason="TARGET_NEWER",
            resource=item.key,
        )


def _document(store: Store, key: str) -> bytes | None:
    """Return the bytes of a document; None if it is gone or damaged."""
    try:
        return document.read(store, key)
    except (NotFound, DataLoss):
        return None


def _digest(store: Store, item: StoredObject) -> str:
    hashed = hashlib.sha256()
    for block in store.blocks(item.key, item.size):
        hashed.update(block)
    return hashed.hexdigest()


def _mismatch(key: str, store: Store, expected: str, received: str) -> DataLoss:
    return DataLoss(
        f"Expected {key} with SHA-256 {expected} in the store at {store.settings.endpoint}. Received {received}. "
        "Delete its prefix there, and repeat the copy.",
        resource=key,
    )
