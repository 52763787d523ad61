"""The objects of an S3 bucket: reads, writes, lists and deletes them.

`requests.py` sends the requests and says when they are repeated; `reading.py` and `writing.py` transfer contents.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TypeVar

from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import S3Error

from facefoundry.errors import Denied, NotFound
from facefoundry.settings import StoreSettings
from facefoundry.storage import reading, writing
from facefoundry.storage.failures import error_of, no_bucket
from facefoundry.storage.keys import uri
from facefoundry.storage.requests import Requests

__all__ = ["Store", "StoredObject"]

_USER_METADATA = "x-amz-meta-"

T = TypeVar("T")


@dataclass(frozen=True)
class StoredObject:
    """An object of the bucket. After its content changes it has another `etag`; `size` is in bytes.

    `modified` is when it was written, UTC; None for a folder. `stat` returns whole seconds, so it does not compare.
    """

    key: str
    size: int
    etag: str
    modified: datetime | None = field(compare=False)


class Store:
    """A bucket of an S3 server. Threads may share it, processes may not.

    Attributes:
        settings: Address, credentials and limits.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self.settings = settings
        self._requests = Requests(settings)

    @property
    def bucket(self) -> str:
        """Name of the bucket."""
        return self._requests.bucket

    @property
    def last_activity(self) -> float:
        """Time of the last response or received block of data, by `time.monotonic`."""
        return self._requests.last_activity

    def longest_wait(self, threads: Iterable[int]) -> float:
        """Return for how many seconds the longest request of these threads runs; 0 if none of them has one.

        Args:
            threads: Their ids.
        """
        return self._requests.longest_wait(threads)

    def with_retries_for(self, seconds: float, on_wait: Callable[[str], object] = lambda _: None) -> Store:
        """Return a copy of this store that repeats requests while the server does not answer.

        Args:
            seconds: How long to repeat each request.
            on_wait: Called with a sentence for the user when a request has failed and will be repeated.
        """
        return self._with(self._requests.repeated_for(seconds, on_wait))

    def apart(self) -> Store:
        """Return a copy of this store with connections of its own, which `cancel` ends. It is made for one call."""
        return self._with(self._requests.apart())

    def cancel(self) -> None:
        """End the requests of this store and of its copies on the same connections, those to come too.

        They raise Cancelled within a second, wherever they wait. Only opening a connection may take 5 s.
        """
        self._requests.cancel()

    def check_cancelled(self) -> None:
        """Raise an error if the requests were cancelled; for long work between them.

        Raises:
            Cancelled: they were.
        """
        self._requests.check_cancelled()

    def uri(self, prefix: str) -> str:
        """Return the URI of a prefix in the bucket."""
        return uri(self.bucket, prefix)

    def put_bytes(
        self,
        key: str,
        data: bytes,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Write an object and its user metadata; readers see the old content or all of the new."""
        writing.write_bytes(self._requests, key, data, content_type, metadata or {})

    def put_file(
        self,
        key: str,
        path: Path,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Write an object from a local file, and its user metadata."""
        writing.write_file(self._requests, key, path, content_type, metadata or {})

    def get_bytes(self, key: str, size: int | None = None) -> bytes:
        """Read an object.

        Args:
            key: Key of the object.
            size: Size that the object must have, in bytes; None for any size.

        Raises:
            NotFound: there is no such object.
            DataLoss: the object has another size (WRONG_SIZE), or fewer bytes arrived than the store announced, at
                every attempt (TRUNCATED_OBJECT).
        """
        buffer = io.BytesIO()
        reading.read(self._requests, key, buffer, size)
        return buffer.getvalue()

    def get_with_metadata(self, key: str, max_size: int | None = None) -> tuple[bytes, dict[str, str]]:
        """Read an object with its user metadata, by lower-case name. It raises the same errors as `get_bytes`.

        Args:
            key: Key of the object.
            max_size: Largest size in bytes; a larger object is refused before its bytes are read (WRONG_SIZE).
        """
        buffer = io.BytesIO()
        _, headers = reading.read(self._requests, key, buffer, None, max_size)
        names = {name: name.lower().removeprefix(_USER_METADATA) for name in headers}
        return buffer.getvalue(), {short: headers[name] for name, short in names.items() if short != name.lower()}

    def get_file(self, key: str, path: Path, size: int | None = None) -> str:
        """Read an object into a file and return its SHA-256, 64 hex digits. It raises the same errors as `get_bytes`.

        An object of another size is refused before its bytes are read.
        """
        with path.open("wb") as file:
            return reading.read(self._requests, key, file, size)[0]

    def in_bucket(self, bucket: str) -> Store:
        """Return a store of the same server and account, on another bucket."""
        return self._with(self._requests.to(bucket))

    def blocks(self, key: str, size: int, offset: int = 0) -> Iterator[bytes]:
        """Yield the first bytes of an object, from an offset on. An interrupted transfer continues where it stopped.

        Args:
            key: Key of the object.
            size: Offset of the end. If the object has fewer bytes, all of them are read.
            offset: Offset of the first byte to read.

        Raises:
            NotFound: there is no such object.
            Unavailable: several transfers in a row were interrupted before any byte arrived.
        """
        return reading.blocks(self._requests, key, size, offset)

    def stat(self, key: str) -> StoredObject:
        """Return the size, entity tag and time of an object.

        Raises:
            NotFound: there is no such object (NO_SUCH_OBJECT), or no such bucket.
        """
        found = self.request(key, lambda client: client.stat_object(bucket_name=self.bucket, object_name=key))
        return StoredObject(key, found.size or 0, found.etag or "", found.last_modified)

    def exists(self, key: str) -> bool:
        """Return whether an object with this key exists."""
        try:
            self.stat(key)
        except NotFound as error:
            if error.reason == "NO_SUCH_OBJECT":
                return False
            raise
        return True

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys that start with a prefix, in the order of the server; servers differ in it."""
        return (key for key, _ in self.sizes(prefix))

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield the keys that start with a prefix with the sizes of their objects in bytes, in the server's order."""
        return ((found.key, found.size) for found in self.objects(prefix))

    def objects(
        self, prefix: str, *, folder: bool = False, limit: int | None = None, after: str = ""
    ) -> tuple[StoredObject, ...]:
        """Return the objects whose keys start with a prefix, in the order of the server; servers differ in it.

        Args:
            prefix: Start of the keys.
            folder: Whether to return each folder below the prefix, a key that ends with `/`, instead of its objects.
            limit: Maximum number of objects and folders; None for all. Up to 1000 take one request.
            after: Only keys that come after this one, in alphabetical order; it need not exist.
        """

        def found(client: Minio) -> tuple[StoredObject, ...]:
            # The public method asks for 1,000 keys even if one is wanted, which takes a store 0.1 s.
            items = client._list_objects(
                self.bucket,
                prefix=prefix,
                delimiter="/" if folder else None,
                start_after=after or None,
                max_keys=min(limit or 1000, 1000),
                encoding_type="url",
            )
            objects = (item for item in items if item.object_name and (folder or not item.is_dir))
            return tuple(
                StoredObject(item.object_name or "", item.size or 0, item.etag or "", item.last_modified)
                for item in islice(objects, limit)
            )

        return self.request(prefix, found)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete the objects with these keys, if they exist."""
        wanted = list(keys)

        def remove(client: Minio) -> None:
            for problem in client.remove_objects(self.bucket, [DeleteObject(key) for key in wanted]):
                key, message = problem.name or "", problem.message or ""
                raise error_of(problem.code, message, self.settings.endpoint, self.bucket, key)

        self.request("delete", remove)

    def make_bucket(self) -> None:
        """Create the bucket if it does not exist."""

        def make(client: Minio) -> None:
            if not client.bucket_exists(bucket_name=self.bucket):
                try:
                    client.make_bucket(bucket_name=self.bucket)
                except S3Error:  # maybe the response was lost, and the repeated request found the bucket
                    if not client.bucket_exists(bucket_name=self.bucket):
                        raise

        self.request(self.bucket, make)

    def check(self) -> None:
        """Check that the store answers and has the bucket.

        Raises:
            NotFound: the bucket is missing.
            Denied: the store refuses the request, for example because the credentials or the region are wrong.
            Unavailable: the store does not answer.
        """
        try:
            found = self.request(self.bucket, lambda client: client.bucket_exists(bucket_name=self.bucket))
        except Denied:
            self.objects("uploads/", limit=1)  # its response has a body, which says why
            raise
        if not found:
            raise no_bucket(self.settings.endpoint, self.bucket)

    def request(self, key: str, send: Callable[[Minio], T]) -> T:
        """Call a function that sends a request about a key, with the repetitions and the errors of this store."""
        return self._requests.send(key, lambda: send(self._requests.client))

    def _with(self, requests: Requests) -> Store:
        other = copy(self)
        other._requests = requests
        return other
