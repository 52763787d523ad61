"""Finds and reads files that a service imports: objects that clients uploaded, or that other programs stored."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from facefoundry.errors import Conflict, NotFound, Unusable
from facefoundry.storage import keys
from facefoundry.storage.sources import synthetic
from facefoundry.storage.store import Store, StoredObject
from facefoundry.storage.uploads import Upload, Uploads
from facefoundry.work.messages import Progress

__all__ = ["Folder", "Incoming", "IncomingFiles"]

_CONNECTIONS = 8


@dataclass(frozen=True)
class Incoming:
    """A file to import: an object, or the parts of an upload.

    Attributes:
        uri: URI of the object or upload.
        objects: The object, or the parts in order; nothing if the upload was imported before.
        bucket: The bucket that has them.
        upload: The upload; None for another object.
    """

    uri: str
    objects: tuple[StoredObject, ...]
    bucket: str
    upload: Upload | None = None

    @property
    def name(self) -> str:
        """The name of the file."""
        return PurePosixPath(self.uri).name

    @property
    def size(self) -> int:
        """The size of the file in bytes."""
        return sum(item.size for item in self.objects)

    @property
    def sha256(self) -> str:
        """The SHA-256 that was announced for an upload; empty if none was."""
        return self.upload.record.sha256 if self.upload else ""

    @property
    def result(self) -> str:
        """The URI of what an upload became when it was imported before; empty if it was not."""
        return self.upload.record.result if self.upload else ""


@dataclass(frozen=True)
class Folder:
    """The objects and folders below a prefix, in any order; `uri` and `key`, the prefix, end with `/`."""

    uri: str
    objects: tuple[StoredObject, ...]
    bucket: str
    key: str

    @property
    def name(self) -> str:
        """The name of the folder."""
        return PurePosixPath(self.uri).name

    def by_name(self) -> dict[str, StoredObject]:
        """Return the objects by the names of their files, without folders."""
        return {item.key.removeprefix(self.key): item for item in self.objects if not item.key.endswith("/")}


class IncomingFiles:
    """Finds and reads files to import.

    Args:
        store: The object store.
        uploads: The uploads in its bucket.
        buckets: Names of further buckets of the same server from which files are imported.
    """

    def __init__(self, store: Store, uploads: Uploads, buckets: Iterable[str] = ()) -> None:
        self._store, self._uploads = store, uploads
        self._buckets = (store.bucket, *(name for name in buckets if name != store.bucket))

    def through(self, store: Store) -> IncomingFiles:
        """Return the same files, found and read through another `Store` of the service's bucket."""
        return IncomingFiles(store, self._uploads.through(store), self._buckets)

    def find(self, uri: str, field: str = "object_uri") -> Incoming:
        """Find a file by the URI of an object, or by that of an upload.

        Args:
            uri: The URI, `s3://<bucket>/<key>`.
            field: Name of the request field with the URI, for messages.

        Raises:
            InvalidInput: the URI is malformed (URI), names another bucket (BUCKET_NOT_ALLOWED), or a result of the
                converter (SYNTHETIC).
            NotFound: there is no such object (NO_SUCH_OBJECT) or bucket (NO_SUCH_BUCKET).
            Unusable: the object is empty (EMPTY_OBJECT), or the upload is not complete (UPLOAD_INCOMPLETE,
                UPLOAD_PART_SIZE).
        """
        bucket, key = self._object_of(uri, field)
        upload = self._uploads.find(key) if bucket == self._store.bucket else None
        if upload is None:
            found = Incoming(uri, (self._stat(uri, bucket, key),), bucket)
            if not found.size:
                raise Unusable(f"{uri} is empty (0 bytes).", reason="EMPTY_OBJECT", resource=uri)
            return found
        return Incoming(uri, () if upload.record.result else self._uploads.stored(upload), bucket, upload)

    def find_folder(self, uri: str, limit: int, field: str = "object_uri") -> Folder:
        """Find the objects and folders directly below a prefix.

        Args:
            uri: URI of the prefix, which ends with `/`.
            limit: Maximum number of objects and folders.
            field: Name of the request field with the URI, for messages.

        Raises:
            InvalidInput: the URI is malformed (URI), names another bucket (BUCKET_NOT_ALLOWED), or a result of the
                converter (SYNTHETIC).
            NotFound: there is no such bucket (NO_SUCH_BUCKET).
            Unusable: there are more (TOO_LARGE).
        """
        bucket, key = self._object_of(uri, field)
        objects = self._list(uri, bucket, key, limit + 1)
        if len(objects) > limit:
            message = (
                f"{uri} has more than {limit} objects and folders, the most that are accepted. Import a video instead."
            )
            raise Unusable(message, reason="TOO_LARGE", resource=uri)
        return Folder(uri, objects, bucket, key)

    def fetch(
        self, file: Incoming, path: Path, sha256: str = "", *, done: int = 0, total: int | None = None
    ) -> Generator[Progress, None, str]:
        """Download a file, and return its SHA-256, 64 hex digits.

        Args:
            file: The file.
            path: Where to write it.
            sha256: The SHA-256 that it must have; empty for any.
            done: Bytes of other files of the call that are downloaded, for the progress.
            total: Bytes of all files of the call; None for this file alone.

        Yields:
            The progress, after each block.

        Raises:
            Conflict: the file changed while it was read (OBJECT_CHANGED).
            Unusable: the file has another SHA-256 than was given or announced (SHA256_MISMATCH).
        """
        store, hashed = self._store.in_bucket(file.bucket), hashlib.sha256()
        with path.open("wb") as sink:
            for item in file.objects:
                try:
                    for block in store.blocks(item.key, item.size):
                        hashed.update(block)
                        sink.write(block)
                        done += len(block)
                        yield Progress("download", done, total or file.size, unit="bytes")
                except NotFound as error:
                    raise _changed(file.uri) from error
        received = hashed.hexdigest()
        if {sha256, file.sha256} - {""} != {received}:  # otherwise it is what was wanted, whatever happened since
            self._check_unchanged(file)
            self._check_digest(file, received, sha256)
        return received

    def fetch_folder(self, folder: Folder, paths: Mapping[str, Path]) -> Iterator[Progress]:
        """Download objects of a folder, several at once.

        Args:
            folder: The folder.
            paths: Where to write them, by name; other objects are left out.

        Yields:
            The progress, after each object.

        Raises:
            Conflict: an object was changed, added or deleted meanwhile (OBJECT_CHANGED).
        """
        store = self._store.in_bucket(folder.bucket)
        wanted = [(item, paths[name]) for name, item in folder.by_name().items() if name in paths]
        done, total = 0, sum(item.size for item, _ in wanted)

        def fetch(item: StoredObject, path: Path) -> int:
            with path.open("wb") as sink:
                return sum(map(sink.write, store.blocks(item.key, item.size)))

        pool = ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="download")
        try:
            for size in pool.map(fetch, *zip(*wanted, strict=True)):
                done += size
                yield Progress("download", done, total, unit="bytes")
        except NotFound as error:
            raise _changed(folder.uri) from error
        finally:
            pool.shutdown(cancel_futures=True)
        if self._list(folder.uri, folder.bucket, folder.key, len(folder.objects) + 1) != folder.objects:
            raise _changed(folder.uri)

    def finish(self, file: Incoming, result: str) -> None:
        """Record the URI of the result made from an upload, and delete the upload's parts.

        For a file that was not uploaded, do nothing.

        Args:
            file: The file.
            result: URI of what was made from it.
        """
        if file.upload:
            self._uploads.finish(file.upload, result)

    def forget(self, file: Incoming) -> None:
        """Delete the parts of an upload and what it became, so that it must be uploaded again."""
        if file.upload:
            self._uploads.forget(file.upload)

    def _check_unchanged(self, file: Incoming) -> None:
        try:
            now: tuple[StoredObject, ...] = (
                self._uploads.stored(file.upload)
                if file.upload
                else (self._store.in_bucket(file.bucket).stat(file.objects[0].key),)
            )
        except (NotFound, Unusable) as error:
            raise _changed(file.uri) from error
        if now != file.objects:
            raise _changed(file.uri)

    def _check_digest(self, file: Incoming, received: str, given: str) -> None:
        for expected in (given, file.sha256):
            if expected and expected != received:
                message = f"Expected {file.uri} to have SHA-256 {expected}. Received {received}."
                if expected == file.sha256:
                    self.forget(file)  # otherwise CreateUpload would say that nothing need be put again
                    message += " Its parts are deleted. Upload it again."
                raise Unusable(message, reason="SHA256_MISMATCH", resource=file.uri)

    def _object_of(self, uri: str, field: str) -> tuple[str, str]:
        bucket, key = keys.object_of(uri, self._buckets, field)
        if bucket == self._store.bucket and key.startswith("conversions/"):
            raise synthetic(uri, field, "Extract takes the URI of a fake as it is.")
        return bucket, key

    def _stat(self, uri: str, bucket: str, key: str) -> StoredObject:
        try:
            return self._store.in_bucket(bucket).stat(key)
        except NotFound as error:
            try:
                self._store.in_bucket(bucket).check()  # a missing bucket looks like a missing object
            except NotFound as no_bucket:
                raise _missing(no_bucket, uri, bucket) from error
            raise _missing(error, uri, bucket) from error

    def _list(self, uri: str, bucket: str, key: str, limit: int) -> tuple[StoredObject, ...]:
        try:
            return self._store.in_bucket(bucket).objects(key, folder=True, limit=limit)
        except NotFound as error:
            raise _missing(error, uri, bucket) from error


def _missing(error: NotFound, uri: str, bucket: str) -> NotFound:
    what = f"the store has no bucket {bucket!r}" if error.reason == "NO_SUCH_BUCKET" else "there is no such object"
    return NotFound(f"Cannot import {uri}: {what}.", reason=error.reason, resource=uri)


def _changed(uri: str) -> Conflict:
    message = f"{uri} changed while it was read. Repeat the call when it is complete."
    return Conflict(message, reason="OBJECT_CHANGED", resource=uri)
