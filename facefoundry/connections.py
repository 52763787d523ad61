"""HTTP connections to an object store, on which a slow transfer is no failure.

urllib3 has one limit for opening a connection and one for reading a response. The first one also holds while a request
is sent, and for the whole of a body of bytes. So these connections have the limit for opening only until they are
open, and then the same limit for each block that is sent as for each block that is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

__all__ = ["Connections"]

_CONNECT_SECONDS = 5.0
_CONNECTIONS = 32
_BLOCK_BYTES = 64 << 10


class Connections(urllib3.PoolManager):
    """A pool of connections. Threads may share it.

    Args:
        seconds: Longest time without a byte sent or received.
        connect_seconds: Longest time until a connection is open, if it is less than `seconds`.
        ca_file: Certificates of authorities, PEM; None for the system's.
        retries: Which requests are repeated, and how often; False for none.
    """

    def __init__(
        self,
        seconds: float,
        *,
        connect_seconds: float = _CONNECT_SECONDS,
        ca_file: Path | None = None,
        retries: urllib3.Retry | bool = False,
    ) -> None:
        super().__init__(
            timeout=urllib3.Timeout(connect=min(connect_seconds, seconds), read=seconds),
            maxsize=_CONNECTIONS,
            retries=retries,
            cert_reqs="CERT_REQUIRED",
            ca_certs=str(ca_file) if ca_file else None,
        )
        self.pool_classes_by_scheme = {"http": _http_pools(seconds), "https": _https_pools(seconds)}


if TYPE_CHECKING:
    _Base = HTTPConnection
else:
    _Base = object


class _SendingSlowly(_Base):
    """Gives each block of a request the time `send_seconds`."""

    send_seconds: ClassVar[float]

    def request(self, *arguments: Any, **options: Any) -> None:
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


def _http_pools(seconds: float) -> type[urllib3.HTTPConnectionPool]:
    class Connection(_SendingSlowly, HTTPConnection):
        send_seconds = seconds

    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls = Connection

    return Pool


def _https_pools(seconds: float) -> type[urllib3.HTTPSConnectionPool]:
    class Connection(_SendingSlowly, HTTPSConnection):
        send_seconds = seconds

    class Pool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Connection

    return Pool
