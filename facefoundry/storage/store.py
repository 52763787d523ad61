"""Reads and writes whole objects of an S3 bucket. Errors are raised as exceptions of `facefoundry.errors`.

Requests are repeated in three cases:
- A request fails, is interrupted, or its response is corrupted: it is sent up to `attempts` times, within seconds.
- An object cannot be parsed: it is read once more, because it may have been corrupted only in transit.
- The store does not answer: requests are repeated for the seconds that `with_retries_for` was given, by default 0.
"""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import TypeVar
from xml.etree.ElementTree import ParseError

import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from facefoundry.errors import DataLoss, Denied, FaceFoundryError, InvalidInput, NotFound, Unavailable
from facefoundry.settings import StoreSettings
from facefoundry.storage.keys import uri

__all__ = ["Store"]

_BLOCK = 1 << 20
_MULTIPART_BYTES = 64 << 20
_MISSING = {"NoSuchKey", "NoSuchObject"}
_DENIED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AllAccessDisabled"}
_FULL = {"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage", "QuotaExceeded"}
_INSUFFICIENT_STORAGE = 507
_MIN_WAIT_SECONDS, _MAX_WAIT_SECONDS = 0.5, 5.0

T = TypeVar("T")


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
        self._aborted = threading.Event()
        # All requests are safe to repeat, even POST: it deletes objects, or starts or completes an upload.
        retries = urllib3.Retry(
            total=settings.attempts - 1,
            backoff_factor=0.2,
            backoff_jitter=0.2,
            allowed_methods=None,
            raise_on_status=False,  # so that the last response arrives with its error code
            status_forcelist=(429, 500, 502, 503, 504),
        )
        self._connections = _Connections(
            timeout=urllib3.Timeout(connect=min(5.0, settings.timeout_seconds), read=settings.timeout_seconds),
            maxsize=32,
            retries=retries,
            cert_reqs="CERT_REQUIRED",
            ca_certs=str(settings.ca_file) if settings.ca_file else None,
        )
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

    def abort_waits(self) -> None:
        """Make waiting requests of this store and of its copies fail now, and later requests at their first error."""
        self._aborted.set()

    def uri(self, prefix: str) -> str:
        """Return the URI of a prefix in the bucket."""
        return uri(self.bucket, prefix)

    def put_bytes(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        """Write an object; readers see the old content or all of the new."""
        self._do(
            key,
            lambda: self._client.put_object(
                bucket_name=self.bucket,
                object_name=key,
                data=io.BytesIO(data),
                length=len(data),
                content_type=content_type,
                part_size=_MULTIPART_BYTES,
            ),
        )

    def put_file(self, key: str, path: Path, content_type: str = "application/octet-stream") -> None:
        """Write an object from a local file."""
        self._do(
            key,
            lambda: self._client.fput_object(
                bucket_name=self.bucket,
                object_name=key,
                file_path=str(path),
                content_type=content_type,
                part_size=_MULTIPART_BYTES,
            ),
        )

    def get_bytes(self, key: str) -> bytes:
        """Read an object.

        Raises:
            NotFound: there is no such object.
            DataLoss: fewer bytes arrived than the store announced, at every attempt.
        """
        buffer = io.BytesIO()
        self._do(key, lambda: self._read(key, buffer))
        return buffer.getvalue()

    def get_parsed(self, key: str, parse: Callable[[bytes], T]) -> T:
        """Read an object and parse it. If that fails, read it once more.

        Args:
            key: Key of the object.
            parse: Parses the bytes; raises InvalidInput or DataLoss if they are damaged.
        """
        try:
            return parse(self.get_bytes(key))
        except (InvalidInput, DataLoss):
            return parse(self.get_bytes(key))

    def get_file(self, key: str, path: Path) -> str:
        """Read an object into a file and return its SHA-256, 64 hex digits."""
        with path.open("wb") as file:
            return self._do(key, lambda: self._read(key, file))

    def _read(self, key: str, sink: io.BufferedIOBase) -> str:
        """Stream an object into a file and return its SHA-256; restart an interrupted transfer."""
        for attempt in range(self.settings.attempts):
            sink.seek(0)
            sink.truncate()
            hashed = hashlib.sha256()
            size = 0
            response = self._client.get_object(bucket_name=self.bucket, object_name=key)
            try:
                announced = int(response.headers.get("Content-Length", "-1"))
                for block in response.stream(_BLOCK):
                    hashed.update(block)
                    sink.write(block)
                    size += len(block)
                    self._connections.last_activity = time.monotonic()
            except (urllib3.exceptions.ProtocolError, urllib3.exceptions.ReadTimeoutError):
                if attempt + 1 == self.settings.attempts:
                    raise
                continue
            finally:
                response.close()
                response.release_conn()
            if announced in (-1, size):
                return hashed.hexdigest()
        raise DataLoss(
            f"Expected {announced} bytes of the object {key!r}. Received {size}.",
            reason="TRUNCATED_OBJECT",
            resource=key,
        )

    def exists(self, key: str) -> bool:
        """Return whether an object with this key exists."""
        try:
            self._do(key, lambda: self._client.stat_object(bucket_name=self.bucket, object_name=key))
        except NotFound as error:
            if error.reason == "NO_SUCH_OBJECT":
                return False
            raise
        return True

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys that start with a prefix, in alphabetical order."""
        return (key for key, _ in self.sizes(prefix))

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield the keys that start with a prefix, in alphabetical order, with the sizes of their objects in bytes."""

        def found() -> list[tuple[str, int]]:
            items = self._client.list_objects(bucket_name=self.bucket, prefix=prefix, recursive=True)
            return [(item.object_name, item.size or 0) for item in items if item.object_name and not item.is_dir]

        yield from self._do(prefix, found)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete the objects with these keys, if they exist."""
        wanted = list(keys)

        def remove() -> None:
            for problem in self._client.remove_objects(
                bucket_name=self.bucket, delete_object_list=[DeleteObject(key) for key in wanted]
            ):
                raise Unavailable(f"The store did not delete {problem.name!r}: {problem.message}", reason="STORE_ERROR")

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
            Denied: the credentials are wrong.
            Unavailable: the store does not answer.
        """
        found = self._do(self.bucket, lambda: self._client.bucket_exists(bucket_name=self.bucket))
        if not found:
            raise self._no_bucket()

    def _no_bucket(self) -> NotFound:
        return NotFound(
            f"The store at {self.settings.endpoint} has no bucket {self.bucket!r}. "
            "Create it, or set FACEFOUNDRY_STORE_BUCKET to another bucket.",
            reason="NO_SUCH_BUCKET",
            resource=self.bucket,
        )

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
                with self._errors(key):
                    return operation()
            except _CorruptedResponse:
                corrupted += 1
                if corrupted >= self.settings.attempts:
                    raise
            except Unavailable as error:
                if self._aborted.is_set() or time.monotonic() + wait > deadline:
                    raise
                if wait == _MIN_WAIT_SECONDS:
                    self._on_wait(f"{error.message} Retrying for up to {self._retry_seconds:g} s.")
                self._aborted.wait(wait)
                wait = min(2 * wait, _MAX_WAIT_SECONDS)

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        """Convert exceptions of the S3 library to those of `facefoundry.errors`, most specific first."""
        try:
            yield
        except S3Error as error:
            # An unknown 404: the end of a multipart upload was sent twice, or the error code was corrupted.
            if error.response.status == 404 and error.code not in {*_MISSING, "NoSuchBucket"}:
                raise _CorruptedResponse(self._down(f"{error.code} for {key!r}").message) from error
            raise self._from_s3(error, key) from error
        except (ParseError, ValueError) as error:
            raise _CorruptedResponse(
                self._down(f"its response about {key!r} cannot be parsed: {error}").message
            ) from error
        except (InvalidResponseError, ServerError, MinioException) as error:
            raise self._down(str(error)) from error
        except urllib3.exceptions.HTTPError as error:
            raise self._down(str(error)) from error

    def _from_s3(self, error: S3Error, key: str) -> FaceFoundryError:
        if error.code == "NoSuchBucket":
            return self._no_bucket()
        if error.code in _MISSING:
            return NotFound(f"The store has no object {key!r}.", reason="NO_SUCH_OBJECT", resource=key)
        if error.code in _DENIED:
            return Denied(
                f"The store at {self.settings.endpoint} denied access to {key!r} ({error.code}). "
                "Check FACEFOUNDRY_STORE_ACCESS_KEY, FACEFOUNDRY_STORE_SECRET_KEY and the bucket's policy.",
                reason="STORE_ACCESS_DENIED",
                resource=key,
            )
        if error.code in _FULL or error.response.status == _INSUFFICIENT_STORAGE:
            return Unavailable(
                f"The store at {self.settings.endpoint} has no space for {key!r} ({error.code}). Free some space and "
                "retry; finished parts are kept.",
                reason="STORE_FULL",
                resource=key,
                retry_after_seconds=5.0,
            )
        return Unavailable(
            f"The store at {self.settings.endpoint} failed at {key!r}: {error.code}: {error.message}",
            reason="STORE_ERROR",
            resource=key,
            retry_after_seconds=5.0,
        )

    def _down(self, detail: str) -> Unavailable:
        return Unavailable(
            f"The store at {self.settings.endpoint} does not answer: {detail}",
            reason="STORE_UNAVAILABLE",
            resource=self.settings.endpoint,
            retry_after_seconds=5.0,
        )


class _Connections(urllib3.PoolManager):
    """HTTP connections that record when the store last responded."""

    last_activity = 0.0

    def urlopen(  # type: ignore[override]  # urllib3's own class differs from its base class too
        self, method: str, url: str, redirect: bool = True, **options: object
    ) -> urllib3.BaseHTTPResponse:
        response = super().urlopen(method, url, redirect, **options)
        self.last_activity = time.monotonic()
        return response


class _CorruptedResponse(Unavailable):
    """The store sent a response that cannot be parsed."""

    default_reason = "STORE_UNAVAILABLE"
