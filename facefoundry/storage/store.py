"""Reads and writes whole objects of an S3 bucket. Errors are raised as exceptions of `facefoundry.errors`.

Requests are repeated in two cases:
- A request fails, is interrupted, or its response is corrupted: it is sent up to `attempts` times, within seconds.
- The store does not answer: requests are repeated for the seconds that `with_retries_for` was given, by default 0.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import S3Error

from facefoundry.connections import Connections
from facefoundry.errors import DataLoss, Denied, NotFound, Unavailable
from facefoundry.settings import StoreSettings
from facefoundry.storage.failures import CorruptedResponse, converted, error_of, no_bucket
from facefoundry.storage.keys import uri

__all__ = ["Store", "StoredObject"]

_BLOCK = 1 << 20
_MULTIPART_BYTES = 64 << 20
_USER_METADATA = "x-amz-meta-"
_MIN_WAIT_SECONDS, _MAX_WAIT_SECONDS = 0.5, 5.0

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
        bucket: Name of the bucket.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self.settings = settings
        self.bucket = settings.bucket
        self._retry_seconds = 0.0
        self._on_wait: Callable[[str], object] = lambda _: None
        # All requests are safe to repeat, even POST: it deletes objects, or starts or completes an upload.
        retries = urllib3.Retry(
            total=settings.attempts - 1,
            backoff_factor=0.2,
            backoff_jitter=0.2,
            allowed_methods=None,
            other=0,  # such as a certificate that is not trusted
            raise_on_status=False,  # so that the last response arrives with its error code
            status_forcelist=(429, 500, 502, 503, 504),
        )
        self._connections = _Connections(settings.timeout_seconds, ca_file=settings.ca_file, retries=retries)
        self._connections.last_activity = time.monotonic()
        self._client = Minio(
            endpoint=settings.endpoint,
            access_key=settings.access_key.get_secret_value() or None,
            secret_key=settings.secret_key.get_secret_value() or None,
            secure=settings.secure,
            region=settings.region,
            http_client=self._connections,
        )

    @property
    def last_activity(self) -> float:
        """Time of the last response or received block of data, by `time.monotonic`."""
        return self._connections.last_activity

    def with_retries_for(self, seconds: float, on_wait: Callable[[str], object] = lambda _: None) -> Store:
        """Return a copy of this store that repeats requests while the server does not answer.

        Args:
            seconds: How long to repeat each request.
            on_wait: Called with a sentence for the user when a request has failed and will be repeated.
        """
        other = copy(self)
        other._retry_seconds = seconds
        other._on_wait = on_wait
        return other

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
        self._do(
            key,
            lambda: self._client.put_object(
                bucket_name=self.bucket,
                object_name=key,
                data=io.BytesIO(data),
                length=len(data),
                content_type=content_type,
                metadata=dict(metadata or {}),
                part_size=_MULTIPART_BYTES,
            ),
        )

    def put_file(self, key: str, path: Path, content_type: str = "application/octet-stream") -> None:
        """Write an object from a local file."""
        self._do(
            key,
            lambda: self._client.fput_object(
                self.bucket, key, str(path), content_type=content_type, part_size=_MULTIPART_BYTES
            ),
        )

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
        self._do(key, lambda: self._read(key, buffer, size))
        return buffer.getvalue()

    def get_with_metadata(self, key: str, max_size: int | None = None) -> tuple[bytes, dict[str, str]]:
        """Read an object with its user metadata, by lower-case name. It raises the same errors as `get_bytes`.

        Args:
            key: Key of the object.
            max_size: Largest size in bytes; a larger object is refused before its bytes are read (WRONG_SIZE).
        """
        buffer = io.BytesIO()
        headers = self._do(key, lambda: self._read(key, buffer, None, max_size))[1]
        names = {name: name.lower().removeprefix(_USER_METADATA) for name in headers}
        return buffer.getvalue(), {short: headers[name] for name, short in names.items() if short != name.lower()}

    def get_file(self, key: str, path: Path, size: int | None = None) -> str:
        """Read an object into a file and return its SHA-256, 64 hex digits. It raises the same errors as `get_bytes`.

        An object of another size is refused before its bytes are read.
        """
        with path.open("wb") as file:
            return self._do(key, lambda: self._read(key, file, size))[0]

    def _read(
        self, key: str, sink: io.BufferedIOBase, size: int | None, max_size: int | None = None
    ) -> tuple[str, Mapping[str, str]]:
        """Stream an object into a file; return its SHA-256 and headers. Restart an interrupted transfer."""
        for attempt in range(self.settings.attempts):
            sink.seek(0)
            sink.truncate()
            hashed = hashlib.sha256()
            received = 0
            response = self._client.get_object(bucket_name=self.bucket, object_name=key)
            try:
                announced = int(response.headers.get("Content-Length", "-1"))
                expected = announced if size is None else size
                if announced not in (-1, expected):
                    raise DataLoss(
                        f"Expected {expected} bytes of the object {key!r}. The store has {announced}. Delete its "
                        "prefix and repeat the request.",
                        reason="WRONG_SIZE",
                        resource=key,
                    )
                if max_size is not None and not 0 <= expected <= max_size:
                    raise DataLoss(
                        f"Expected at most {max_size} bytes of the object {key!r}. The store has "
                        f"{expected if expected >= 0 else 'an unknown number of'} bytes.",
                        reason="WRONG_SIZE",
                        resource=key,
                    )
                for block in response.stream(_BLOCK):
                    hashed.update(block)
                    sink.write(block)
                    received += len(block)
                    self._connections.last_activity = time.monotonic()
            except (urllib3.exceptions.ProtocolError, urllib3.exceptions.ReadTimeoutError):
                if attempt + 1 == self.settings.attempts:
                    raise
                continue
            finally:
                response.close()
                response.release_conn()
            if expected in (-1, received):
                return hashed.hexdigest(), response.headers
        raise DataLoss(
            f"Expected {expected} bytes of the object {key!r}. Received {received}.",
            reason="TRUNCATED_OBJECT",
            resource=key,
        )

    def in_bucket(self, bucket: str) -> Store:
        """Return a store of the same server and account, on another bucket."""
        other = copy(self)
        other.bucket = bucket
        return other

    def blocks(self, key: str, size: int) -> Iterator[bytes]:
        """Yield the first bytes of an object. An interrupted transfer continues where it stopped.

        Args:
            key: Key of the object.
            size: How many bytes to read. If the object has fewer, all of them are read.

        Raises:
            NotFound: there is no such object.
            Unavailable: several transfers in a row were interrupted before any byte arrived.
        """
        offset, cuts = 0, 0
        while offset < size:
            before = offset
            response = self._do(key, partial(self._get, key, offset, size - offset))
            try:
                with converted(self.settings.endpoint, self.bucket, key):
                    for block in response.stream(_BLOCK):
                        offset += len(block)
                        self._connections.last_activity = time.monotonic()
                        yield block
                return
            except Unavailable:
                cuts = 1 if offset > before else cuts + 1
                if cuts == self.settings.attempts:
                    raise
            finally:
                response.close()
                response.release_conn()

    def _get(self, key: str, offset: int, length: int) -> urllib3.BaseHTTPResponse:
        return self._client.get_object(bucket_name=self.bucket, object_name=key, offset=offset, length=length)

    def stat(self, key: str) -> StoredObject:
        """Return the size, entity tag and time of an object.

        Raises:
            NotFound: there is no such object (NO_SUCH_OBJECT), or no such bucket.
        """
        found = self._do(key, lambda: self._client.stat_object(bucket_name=self.bucket, object_name=key))
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

        def found() -> tuple[StoredObject, ...]:
            # The public method asks for 1,000 keys even if one is wanted, which takes a store 0.1 s.
            items = self._client._list_objects(
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

        return self._do(prefix, found)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete the objects with these keys, if they exist."""
        wanted = list(keys)

        def remove() -> None:
            for problem in self._client.remove_objects(self.bucket, [DeleteObject(key) for key in wanted]):
                key, message = problem.name or "", problem.message or ""
                raise error_of(problem.code, message, self.settings.endpoint, self.bucket, key)

        self._do("delete", remove)

    def make_bucket(self) -> None:
        """Create the bucket if it does not exist."""

        def make() -> None:
            if not self._client.bucket_exists(bucket_name=self.bucket):
                try:
                    self._client.make_bucket(bucket_name=self.bucket)
                except S3Error:  # maybe the response was lost, and the repeated request found the bucket
                    if not self._client.bucket_exists(bucket_name=self.bucket):
                        raise

        self._do(self.bucket, make)

    def check(self) -> None:
        """Check that the store answers and has the bucket.

        Raises:
            NotFound: the bucket is missing.
            Denied: the store refuses the request, for example because the credentials or the region are wrong.
            Unavailable: the store does not answer.
        """
        try:
            found = self._do(self.bucket, lambda: self._client.bucket_exists(bucket_name=self.bucket))
        except Denied:
            self.objects("uploads/", limit=1)  # its response has a body, which says why
            raise
        if not found:
            raise no_bucket(self.settings.endpoint, self.bucket)

    def request(self, key: str, send: Callable[[Minio], T]) -> T:
        """Call a function that sends a request about a key, with the repetitions and the errors of this store."""
        return self._do(key, lambda: send(self._client))

    def _do(self, key: str, operation: Callable[[], T]) -> T:
        """Run an operation, repeat it where that can help, and raise exceptions of `facefoundry.errors`.

        Args:
            key: Key of the object, for messages.
            operation: Sends the requests.
        """
        deadline = time.monotonic() + self._retry_seconds
        wait, corrupted = _MIN_WAIT_SECONDS, 0
        while True:
            try:
                with converted(self.settings.endpoint, self.bucket, key):
                    return operation()
            except CorruptedResponse:
                corrupted += 1
                if corrupted >= self.settings.attempts:
                    raise
            except Unavailable as error:
                if time.monotonic() + wait > deadline:
                    raise
                if wait == _MIN_WAIT_SECONDS:
                    self._on_wait(f"{error.message} Retrying for up to {self._retry_seconds:g} s.")
                time.sleep(wait)
                wait = min(2 * wait, _MAX_WAIT_SECONDS)


class _Connections(Connections):
    """HTTP connections that record when the store last responded."""

    last_activity = 0.0

    def urlopen(  # type: ignore[override]  # urllib3's own class differs from its base class too
        self, method: str, url: str, redirect: bool = True, **options: object
    ) -> urllib3.BaseHTTPResponse:
        response = super().urlopen(method, url, redirect, **options)
        self.last_activity = time.monotonic()
        return response
