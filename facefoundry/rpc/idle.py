"""Closes connections on which nobody calls, of hosts that hold many of them.

gRPC limits the calls on a connection, but no connections, and each costs 17 KiB and a file descriptor of the process. A
client whose idle connection was closed opens another one by itself when it calls again.
"""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote

__all__ = ["IdleConnections", "give_back_memory"]

_PER_HOST = 256
_FILES = Path("/proc/self/fd")

_Peer: TypeAlias = tuple[str, int]  # host and port


@dataclass(frozen=True)
class _Connection:
    peer: _Peer
    opened: socket.socket

    @classmethod
    def of(cls, opened: socket.socket, port: int) -> _Connection | None:
        try:
            if opened.family in (socket.AF_INET, socket.AF_INET6) and opened.getsockname()[1] == port:
                host, number = opened.getpeername()[:2]
                return cls((_plain(host), number), opened)
        except OSError:  # it listens, or the client has closed it
            pass
        return None

    def close(self) -> bool:
        try:
            self.opened.shutdown(socket.SHUT_RDWR)
        except OSError:  # the client has closed it
            return False
        return True


class IdleConnections:
    """The connections of a server, and who calls on them.

    Args:
        per_host: Number of connections that a host may have before its idle ones are closed.
    """

    def __init__(self, per_host: int = _PER_HOST) -> None:
        self._per_host = per_host
        self._lock = threading.Lock()
        self._calls: Counter[_Peer] = Counter()
        self._called: set[_Peer] = set()
        self._idle: set[_Peer] = set()

    @contextmanager
    def calling(self, peer: str) -> Iterator[None]:
        """Keep the connection of a caller open during the block.

        Args:
            peer: Address of the caller, as gRPC writes it.
        """
        found = _peer_of(peer)
        with self._lock:
            self._calls[found] += 1
            self._called.add(found)
        try:
            yield
        finally:
            with self._lock:
                self._called.add(found)
                self._calls[found] -= 1
                if not self._calls[found]:
                    del self._calls[found]

    def close(self, port: int) -> int:
        """Close connections on which nobody has called since the call of this method before; return how many.

        Only those of hosts with too many connections are closed.

        Args:
            port: The port that the server listens on.
        """
        with self._lock:
            busy, self._called = {*self._calls, *self._called}, set()
        before, self._idle = self._idle, set()
        files = [int(file.name) for file in _FILES.iterdir()]
        if len(files) <= self._per_host:
            return 0
        by_host, closed = defaultdict[str, list[tuple[_Peer, int]]](list), 0
        for file in files:
            with _connection(file, port) as found:
                if found is not None:
                    by_host[found.peer[0]].append((found.peer, file))
        for opened in by_host.values():
            idle = [(peer, file) for peer, file in opened if peer not in busy and len(opened) > self._per_host]
            self._idle |= {peer for peer, _ in idle}
            for peer, file in idle:
                with _connection(file, port) as found:
                    if found is not None and found.peer == peer and peer in before:
                        closed += found.close()
        return closed


def give_back_memory() -> None:
    """Give memory that calls and connections left free back to the operating system; glibc keeps it otherwise."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _peer_of(text: str) -> _Peer:
    """Return host and port of a peer such as `ipv4:10.0.0.1:5000` or `ipv6:%5B::1%5D:5000`."""
    _, _, address = unquote(text).partition(":")
    host, _, port = address.rpartition(":")
    return _plain(host.strip("[]")), int(port) if port.isdigit() else 0


def _plain(host: str) -> str:
    """Return an address in one form, whether the server listens for IPv4 alone or not."""
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)


@contextmanager
def _connection(file: int, port: int) -> Iterator[_Connection | None]:
    """Hold an open file for the block; None if it is no connection of the port. gRPC does not tell its connections."""
    try:
        file = os.dup(file)  # from here on it is the same connection, whatever closes it
    except OSError:
        yield None
        return
    try:
        opened = socket.socket(fileno=file)
    except OSError:  # no socket
        os.close(file)
        yield None
        return
    with opened:
        yield _Connection.of(opened, port)
