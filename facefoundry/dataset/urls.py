"""Reads and writes objects by the URLs that services sign, and converts failures to exceptions of this project."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import urllib3

from facefoundry.connections import Connections, tls_refusal
from facefoundry.errors import DataLoss, Denied, FaceFoundryError, NotFound, Unavailable
from facefoundry.settings import TransferSettings

__all__ = ["BLOCK_BYTES", "Urls"]

BLOCK_BYTES: Final = 1 << 20
_RETRY_SECONDS = 5.0
_CERTIFICATE = (
    "Set FACEFOUNDRY_STORE_CA_FILE to the certificate of its authority, and FACEFOUNDRY_STORE_PUBLIC_ENDPOINT of the "
    "services to a name in its certificate."
)
_PLAIN = "Set FACEFOUNDRY_STORE_PUBLIC_ENDPOINT of the services to its port with TLS, or to http://."
_OK, _PARTIAL = 200, 206
_NOT_FOUND, _TIMEOUT, _TOO_MANY, _INSUFFICIENT_STORAGE = 404, 408, 429, 507


class Urls:
    """HTTP connections to the object store. Requests are not repeated. Threads may share it.

    Args:
        settings: Certificates and timeouts.
    """

    def __init__(self, settings: TransferSettings) -> None:
        self._pool = Connections(settings.timeout_seconds, ca_file=settings.ca_file)

    def put(self, url: str, body: Iterable[bytes], size: int) -> None:
        """Write an object.

        Args:
            url: The URL.
            body: The bytes, in blocks.
            size: Number of bytes.

        Raises:
            Denied: the store refused the URL, for example because it has expired (URL_REFUSED), or has no certificate
                that can be trusted (STORE_CERTIFICATE).
            Unavailable: the store does not answer, or has failed or no space.
        """
        with _converted(url):
            answer = self._pool.request("PUT", url, body=body, headers={"Content-Length": str(size)})
        if answer.status != _OK:
            raise _failure(url, answer.status, answer.data)

    def get(self, url: str, offset: int, size: int) -> Iterator[bytes]:
        """Yield the bytes of an object from an offset to its end, in blocks.

        Args:
            url: The URL.
            offset: Number of bytes to leave out.
            size: Size of the object in bytes.

        Raises:
            DataLoss: the object has another size (WRONG_SIZE).
            Denied: the store refused the URL, for example because it has expired (URL_REFUSED), or has no certificate
                that can be trusted (STORE_CERTIFICATE).
            NotFound: there is no such object (NO_SUCH_OBJECT).
            Unavailable: the store does not answer or has failed, or the connection was interrupted.
        """
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        with _converted(url):
            answer = self._pool.request("GET", url, headers=headers, preload_content=False)
            try:
                if answer.status != (_PARTIAL if offset else _OK):
                    raise _failure(url, answer.status, answer.read(BLOCK_BYTES))
                announced = int(answer.headers.get("Content-Length", size - offset))
                if announced != size - offset:
                    raise DataLoss(
                        f"Expected {size} bytes at {_shown(url)}. The store has {announced + offset}.",
                        reason="WRONG_SIZE",
                        resource=_shown(url),
                    )
                for block in answer.stream(BLOCK_BYTES, decode_content=False):
                    offset += len(block)
                    yield block
                if offset < size:
                    raise urllib3.exceptions.ProtocolError(f"the response ended after {offset} of {size} bytes")
            finally:
                answer.close()
                answer.release_conn()


@contextmanager
def _converted(url: str) -> Iterator[None]:
    try:
        yield
    except (urllib3.exceptions.HTTPError, OSError) as error:
        place = urlsplit(url).netloc
        down = Unavailable(
            f"The store at {place} does not answer: {error}",
            reason="STORE_UNAVAILABLE",
            resource=_shown(url),
            retry_after_seconds=_RETRY_SECONDS,
        )
        raise tls_refusal(error, place, _CERTIFICATE, _PLAIN) or down from error


def _failure(url: str, status: int, body: bytes) -> FaceFoundryError:
    place, shown = urlsplit(url).netloc, _shown(url)
    answered = f"HTTP status {status}: {' '.join(body[:300].decode(errors='replace').split())}"
    if status == _NOT_FOUND:
        return NotFound(f"The store at {place} has no object {shown}.", reason="NO_SUCH_OBJECT", resource=shown)
    if 400 <= status < 500 and status not in (_TIMEOUT, _TOO_MANY):
        message = f"The store at {place} refused the URL of {shown}. {answered}"
        return Denied(message, reason="URL_REFUSED", resource=shown)
    reason = "STORE_FULL" if status == _INSUFFICIENT_STORAGE else "STORE_ERROR"
    message = f"The store at {place} failed at {shown}. {answered}"
    return Unavailable(message, reason=reason, resource=shown, retry_after_seconds=_RETRY_SECONDS)


def _shown(url: str) -> str:
    """Return a URL without its signature, with which others could use it."""
    return urlsplit(url)._replace(query="").geturl()
