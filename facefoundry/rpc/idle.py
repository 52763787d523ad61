"""Closes connections on which nobody calls, of hosts that hold too many of them.

gRPC limits the calls on a connection, but no connections, and each costs 17 KiB and a file descriptor of the process. A
client whose idle connection was closed opens another one by itself when it calls again. A host may be a proxy of many
clients, so each new connection has time for its first call, and those that have called are closed last.
"""

from __future__ import annotations

import errno
import os
import resource
import socket
import stat
import threading
import time
import weakref
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from math import inf
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote

__all__ = ["IdleConnections"]

_PER_HOST = 256
_IDLE_PER_HOST = 512
_IDLE_SECONDS = 2.0
_FIRST_CALL_SECONDS = 5.0  # for TCP, TLS and HTTP/2 over a slow network
_FILES = Path("/proc/self/fd")

_Peer: TypeAlias = tuple[str, int]  # host and port


@dataclass(frozen=True)
class _Connection:
    peer: _Peer
    inode: int
    seen: float  # at first


@dataclass(frozen=True)
class _Idleness:
    connection: _Connection
    called: bool  # ever
    since: float
    end: float  # when it may be closed


class IdleConnections:
    """The connections of a server, and who calls on them.

    Args:
        per_host: Number of connections that a host may have before its idle ones are closed.
        idle_per_host: Number of idle connections that a host may have at any moment.
        clock: Returns the time, seconds.
    """

    def __init__(
        self,
        per_host: int = _PER_HOST,
        idle_per_host: int = _IDLE_PER_HOST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_host, self._idle_per_host, self._clock = per_host, idle_per_host, clock
        self._lock = threading.Lock()
        self._calls: Counter[_Peer] = Counter()
        self._ended: dict[_Peer, float] = {}  # when the newest call of a peer ended
        self._known: dict[int, _Connection | None] = {}  # by inode; None if it is no connection of the server
        self._pointer = _Pointer()

    @contextmanager
    def calling(self, peer: str) -> Iterator[None]:
        """Keep the connection of a caller open during the block.

        Args:
            peer: Address of the caller, as gRPC writes it.
        """
        found = _peer_of(peer)
        with self._lock:
            self._calls[found] += 1
        try:
            yield
        finally:
            with self._lock:
                self._ended[found] = self._clock()
                self._calls[found] -= 1
                if not self._calls[found]:
                    del self._calls[found]

    def close(self, port: int) -> int:
        """Close idle connections of hosts with too many; return how many.

        Those without any call come first, and among equals the longest idle. A connection may be idle for 2 s after its
        last call, or for 5 s after it was first seen if there was no call; when a host has more idle ones than it may
        have, the first have no time left. A host keeps as many connections as it may have. One thread at a time may
        call this; it needs no free file descriptor. Call it also while there are few, so that it knows who has called.

        Args:
            port: The port that the server listens on.
        """
        now, sockets = self._clock(), _sockets(_open_files())
        known = self._known
        self._known = {
            inode: known[inode] if inode in known else self._look_at(file, inode, port, now)
            for inode, file in sockets.items()
        }
        by_host = defaultdict[str, list[_Idleness]](list)
        for each in self._idleness(found for found in self._known.values() if found is not None):
            by_host[each.connection.peer[0]].append(each)
        closed = 0
        for opened in by_host.values():
            idle = sorted((each for each in opened if each.since < inf), key=lambda each: (each.called, each.since))
            at_once = len(idle) - self._idle_per_host
            too_many = idle[: max(0, len(opened) - self._per_host)]
            chosen = [each for place, each in enumerate(too_many) if place < at_once or each.end <= now]
            closed += sum(self._shut(each.connection, sockets[each.connection.inode]) for each in chosen)
        return closed

    def _look_at(self, file: int, inode: int, port: int, now: float) -> _Connection | None:
        with suppress(OSError), self._pointer.at(file, inode) as opened:  # it listens, or the client has closed it
            if opened and opened.family in (socket.AF_INET, socket.AF_INET6) and opened.getsockname()[1] == port:
                host, number = opened.getpeername()[:2]
                return _Connection((_plain(host), number), inode, now)
        return None

    def _idleness(self, found: Iterable[_Connection]) -> list[_Idleness]:
        """Return how idle connections are, and forget calls on others that have ended."""
        connections = list(found)
        with self._lock:
            busy, ended = set(self._calls), self._ended
            self._ended = {each.peer: ended[each.peer] for each in connections if each.peer in ended}
            ended = self._ended.copy()

        def of(connection: _Connection) -> _Idleness:
            if connection.peer in busy:
                return _Idleness(connection, True, inf, inf)
            last = ended.get(connection.peer)
            if last is None or last < connection.seen:
                end = connection.seen + _FIRST_CALL_SECONDS
                return _Idleness(connection, last is not None, connection.seen, end)
            return _Idleness(connection, True, last, last + _IDLE_SECONDS)

        return [of(each) for each in connections]

    def _shut(self, connection: _Connection, file: int) -> bool:
        """Shut a connection down unless a call has begun or it is closed; gRPC then closes its file."""
        with self._lock, suppress(OSError), self._pointer.at(file, connection.inode) as opened:
            if opened and connection.peer not in self._calls:
                self._known[connection.inode] = None
                opened.shutdown(socket.SHUT_RDWR)
                return True
        return False


class _Pointer:
    """A file descriptor that can be made to refer to any open file; so a look at one needs no free descriptor."""

    def __init__(self) -> None:
        self._nothing, self._file = (os.open(os.devnull, os.O_RDONLY) for _ in range(2))
        for file in (self._nothing, self._file):
            weakref.finalize(self, os.close, file)

    @contextmanager
    def at(self, file: int, inode: int) -> Iterator[socket.socket | None]:
        """Hold an open socket for the block; None if the file is another one by now."""
        try:
            os.dup2(file, self._file, inheritable=False)
        except OSError:  # it was closed
            yield None
            return
        try:
            if os.fstat(self._file).st_ino != inode:
                yield None
                return
            opened = socket.socket(fileno=self._file)
            try:
                yield opened
            finally:
                opened.detach()
        finally:
            os.dup2(self._nothing, self._file, inheritable=False)


def _open_files() -> Sequence[int]:
    """Return the file descriptors of the process."""
    try:
        return [int(file.name) for file in _FILES.iterdir()]
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
        return range(resource.getrlimit(resource.RLIMIT_NOFILE)[0])  # all are in use


def _sockets(files: Sequence[int]) -> dict[int, int]:
    """Return the sockets among open files: file descriptors by inode, which no other socket has."""
    found = {}
    for file in files:
        with suppress(OSError):  # it was closed
            status = os.fstat(file)
            if stat.S_ISSOCK(status.st_mode):
                found[status.st_ino] = file
    return found


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
