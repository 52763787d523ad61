"""Sends requests about the objects of a bucket. Errors are raised as exceptions of `facefoundry.errors`.

Requests are repeated in two cases:
- A request fails, is interrupted, or its response is corrupted: it is sent up to `attempts` times, within seconds.
- The store does not answer: requests are repeated for the seconds that `repeated_for` was given, by default 0.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from typing import TypeVar

import urllib3
from minio import Minio

from facefoundry.connections import Cancellation, Connections
from facefoundry.errors import FaceFoundryError, Unavailable
from facefoundry.settings import StoreSettings
from facefoundry.storage.failures import CorruptedResponse, converted

__all__ = ["Requests"]

_MIN_WAIT_SECONDS, _MAX_WAIT_SECONDS = 0.5, 5.0

T = TypeVar("T")


class Requests:
    """Sends requests to an S3 server with the account of the settings. Threads may share it, processes may not.

    Attributes:
        settings: Address, credentials and limits.
        bucket: Name of the bucket that the requests are about.
        client: The S3 library's client, for use within `send`.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self.settings = settings
        self.bucket = settings.bucket
        self._retry_seconds = 0.0
        self._on_wait: Callable[[str], object] = lambda _: None
        self._cancellation = Cancellation()
        self._begun: dict[int, float] = {}  # when the request of a thread began, by thread
        # All requests are safe to repeat, even POST: it deletes objects, or starts or completes an upload.
        retries = _retry_class(self._cancellation)(
            total=settings.attempts - 1,
            backoff_factor=0.2,
            backoff_jitter=0.2,
            allowed_methods=None,
            other=0,  # such as a certificate that is not trusted
            raise_on_status=False,  # so that the last response arrives with its error code
            status_forcelist=(429, 500, 502, 503, 504),
        )
        self._connections = _Connections(
            settings.timeout_seconds, ca_file=settings.ca_file, retries=retries, cancellation=self._cancellation
        )
        self._connections.last_activity = time.monotonic()
        self.client = Minio(
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

    def longest_wait(self, threads: Iterable[int]) -> float:
        """Return for how many seconds the longest request of these threads runs; 0 if none of them has one."""
        begun = [self._begun.get(thread) for thread in threads]
        return max((time.monotonic() - since for since in begun if since is not None), default=0.0)

    def received(self) -> None:
        """Take note that a block of data was received.

        Raises:
            Cancelled: the requests were cancelled.
        """
        self._connections.last_activity = time.monotonic()
        self.check_cancelled()

    def repeated_for(self, seconds: float, on_wait: Callable[[str], object]) -> Requests:
        """Return a copy that repeats requests while the server does not answer.

        Args:
            seconds: How long to repeat each request.
            on_wait: Called with a sentence for the user when a request has failed and will be repeated.
        """
        other = copy(self)
        other._retry_seconds = seconds
        other._on_wait = on_wait
        return other

    def to(self, bucket: str) -> Requests:
        """Return a copy for another bucket."""
        other = copy(self)
        other.bucket = bucket
        return other

    def apart(self) -> Requests:
        """Return a copy with connections of its own, which `cancel` ends."""
        other = Requests(self.settings).to(self.bucket)
        return other.repeated_for(self._retry_seconds, self._on_wait)

    def cancel(self) -> None:
        """End the requests that run on these connections, and refuse further ones, with Cancelled."""
        self._cancellation.cancel()

    def check_cancelled(self) -> None:
        """Raise an error if the requests were cancelled.

        Raises:
            Cancelled: they were.
        """
        self._cancellation.check()

    @contextmanager
    def converting(self, key: str) -> Iterator[None]:
        """Raise the errors of the S3 library within the block as exceptions of `facefoundry.errors`.

        Args:
            key: Key of the object, for messages.
        """
        try:
            with converted(self.settings.endpoint, self.bucket, key):
                yield
        except FaceFoundryError:
            self.check_cancelled()  # then the error only says that the connection was cut
            raise

    def send(self, key: str, operation: Callable[[], T]) -> T:
        """Run an operation, repeat it where that can help, and raise exceptions of `facefoundry.errors`.

        Args:
            key: Key of the object, for messages.
            operation: Sends the requests.
        """
        thread = threading.get_ident()
        self._begun[thread] = time.monotonic()
        try:
            return self._repeated(key, operation)
        finally:
            del self._begun[thread]

    def _repeated(self, key: str, operation: Callable[[], T]) -> T:
        deadline = time.monotonic() + self._retry_seconds
        wait, corrupted = _MIN_WAIT_SECONDS, 0
        while True:
            try:
                with self.converting(key):
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
                self._cancellation.sleep(wait)
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


def _retry_class(cancellation: Cancellation) -> type[urllib3.Retry]:
    """Return the class of rules for repetitions that wait no longer than until they are cancelled."""

    class Retry(urllib3.Retry):
        def sleep(self, response: urllib3.BaseHTTPResponse | None = None) -> None:
            wanted = self.get_retry_after(response) if response else None
            cancellation.sleep(wanted or self.get_backoff_time())

    return Retry
