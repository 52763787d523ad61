"""HTTP connections to an object store, on which a slow transfer is no failure.

urllib3 has one limit for opening a connection and one for reading a response. The first one also holds while a request
is sent, and for the whole of a body of bytes. So these connections have the limit for opening only until they are
open, and then the same limit for each block that is sent as for each block that is read.

A `Cancellation` ends requests from another thread, wherever they wait.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakSet

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from facefoundry.errors import Cancelled

__all__ = ["Cancellation", "Connections"]

_CONNECT_SECONDS = 5.0
_CONNECTIONS = 32
_BLOCK_BYTES = 64 << 10


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
