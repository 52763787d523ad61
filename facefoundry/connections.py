"""HTTP connections to an object store, on which a slow transfer is no failure.

urllib3 has one limit for opening a connection and one for reading a response. The first one also holds while a request
is sent, and for the whole of a body of bytes. So these connections have the limit for opening only until they are
open, and then the same limit for each block that is sent as for each block that is read.

A `Cancellation` ends requests from another thread, wherever they wait.
"""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakSet

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.ssl_match_hostname import CertificateError

from facefoundry.errors import Cancelled, Denied

__all__ = ["Cancellation", "Connections", "tls_refusal"]

_CONNECT_SECONDS = 5.0
_CONNECTIONS = 32
_BLOCK_BYTES = 64 << 10
_NOT_TLS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
"""Reasons by which versions of OpenSSL say that the other side speaks something else."""


class Cancellation:
    """Ends the requests of one call when its caller is gone: those that run, and those that would follow."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._sockets: WeakSet[socket.socket] = WeakSet()

    def cancel(self) -> None:
        """End the requests. Any thread may call this, more than once."""
        with self._lock:
            self._cancelled.set()
            sockets = list(self._sockets)
        for opened in sockets:
            with suppress(OSError):  # it is closed already
                socket.socket.shutdown(opened, socket.SHUT_RDWR)  # that of TLS would forget its state

    def check(self) -> None:
        """Raise an error if the requests were ended.

        Raises:
            Cancelled: they were.
        """
        if self._cancelled.is_set():
            raise Cancelled("The caller cancelled the call.")

    def sleep(self, seconds: float) -> None:
        """Wait, at most until the requests are ended. It raises the same error as `check`."""
        self._cancelled.wait(seconds)
        self.check()

    def covers(self, opened: socket.socket) -> None:
        """Add an open connection to those that `cancel` ends. It raises the same error as `check`."""
        with self._lock:
            self._sockets.add(opened)
        self.check()


class Connections(urllib3.PoolManager):
    """A pool of connections. Threads may share it.

    Args:
        seconds: Longest time without a byte sent or received.
        connect_seconds: Longest time until a connection is open, if it is less than `seconds`.
        ca_file: Certificates of authorities, PEM; None for the system's.
        retries: Which requests are repeated, and how often; False for none.
        cancellation: Ends the requests; None if nothing does.
    """

    def __init__(
        self,
        seconds: float,
        *,
        connect_seconds: float = _CONNECT_SECONDS,
        ca_file: Path | None = None,
        retries: urllib3.Retry | bool = False,
        cancellation: Cancellation | None = None,
    ) -> None:
        ends = cancellation or Cancellation()
        super().__init__(
            timeout=urllib3.Timeout(connect=min(connect_seconds, seconds), read=seconds),
            maxsize=_CONNECTIONS,
            retries=retries,
            cert_reqs="CERT_REQUIRED",
            ca_certs=str(ca_file) if ca_file else None,
        )
        self.pool_classes_by_scheme = {"http": _http_pools(seconds, ends), "https": _https_pools(seconds, ends)}


def tls_refusal(error: BaseException, endpoint: str, advice: str, plain: str) -> Denied | None:
    """Return the error about a TLS connection that the next try would not get either; None for any other failure.

    A server that goes away during the handshake is such another failure.

    Args:
        error: What urllib3 raised.
        endpoint: Address of the store, for messages.
        advice: What to do about a certificate that is not trusted.
        plain: What to do about a store without TLS.
    """
    outer = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
    if not isinstance(outer, urllib3.exceptions.SSLError):
        return None
    cause = outer.args[0] if outer.args else None
    if isinstance(cause, (ssl.SSLCertVerificationError, CertificateError)):
        message = f"The store at {endpoint} has no certificate that can be trusted: {cause}. {advice}"
        return Denied(message, reason="STORE_CERTIFICATE", resource=endpoint)
    if isinstance(cause, ssl.SSLError) and cause.reason in _NOT_TLS:
        message = f"The store at {endpoint} does not speak TLS: {cause}. {plain}"
        return Denied(message, reason="STORE_TLS", resource=endpoint)
    return None


if TYPE_CHECKING:
    _Base = HTTPConnection
else:
    _Base = object


class _SendingSlowly(_Base):
    """Gives each block of a request the time `send_seconds`, and can be ended by `cancellation`."""

    send_seconds: ClassVar[float]
    cancellation: ClassVar[Cancellation]

    def connect(self) -> None:
        self.cancellation.check()
        super().connect()
        if self.sock is not None:
            self.cancellation.covers(self.sock)

    def request(self, *arguments: Any, **options: Any) -> None:
        self.cancellation.check()
        if self.sock is None:
            self.connect()
        self.timeout = self.send_seconds  # `request` sets it on the socket
        super().request(*arguments, **options)

    def send(self, data: Any) -> None:
        # A socket's timeout holds for the whole of what one call sends.
        whole = memoryview(data) if isinstance(data, bytes) else None
        if whole is None or len(whole) <= _BLOCK_BYTES:
            super().send(data)
        else:
            for start in range(0, len(whole), _BLOCK_BYTES):
                super().send(whole[start : start + _BLOCK_BYTES])


def _http_pools(seconds: float, ends: Cancellation) -> type[urllib3.HTTPConnectionPool]:
    class Connection(_SendingSlowly, HTTPConnection):
        send_seconds = seconds
        cancellation = ends

    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls = Connection

    return Pool


def _https_pools(seconds: float, ends: Cancellation) -> type[urllib3.HTTPSConnectionPool]:
    class Connection(_SendingSlowly, HTTPSConnection):
        send_seconds = seconds
        cancellation = ends

    class Pool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Connection

    return Pool
