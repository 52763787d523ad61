"""A TCP proxy in front of an object store that takes and gives bytes slowly, stops for a time, or never answers.

It passes bytes on as they come, so a request is never held as a whole: what the proxy does not take, the client cannot
send. It counts the bytes that clients sent, and how often they sent each object or part.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

LOOPBACK = "127.0.0.1"
_BLOCK_BYTES = 128 << 10
_BUFFER_BYTES = 64 << 10  # small, so that a client notices a stop
_HEAD = re.compile(rb"PUT (/[^ ?]*)(?:\?[^ ]*?partNumber=([0-9]+))?[^ ]* HTTP/1\.1\r\n")
_HEAD_BYTES = 4096


class Stop(NamedTuple):
    """Takes and gives nothing for `seconds`, once clients have sent `after_bytes` in all."""

    after_bytes: int
    seconds: float


@dataclass
class Stalls:
    """Listens on a loopback port of its own while its context is open.

    Attributes:
        target: Host and port of the store.
        write_seconds: Pause after each block from a client, among the first `slow_bytes` of all clients.
        slow_bytes: Fewer than a body has, because a client waits for the answer once the rest is in its buffers.
        read_seconds: Pause after each block from the store.
        stops: When it stops; in order.
        gives_bytes: How much it gives in all; then it gives nothing more.
        silent: Whether it accepts connections and does nothing else.
        stopped: Set when a stop has begun, or when it has given all that it gives.
        sent: Bytes that clients sent.
        puts: How often each object, or each part of it, was sent from its first byte on.
    """

    target: str
    write_seconds: float = 0.0
    slow_bytes: int = 0
    read_seconds: float = 0.0
    stops: Sequence[Stop] = ()
    gives_bytes: int = 1 << 60
    silent: bool = False
    sent: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)
    puts: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> Stalls:
        self._lock = threading.Lock()
        self._left = list(self.stops)
        self._going_at, self._given = 0.0, 0
        self._closed = threading.Event()
        self._sockets: list[socket.socket] = []
        self._listening = socket.create_server((LOOPBACK, 0))
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        self.endpoint = f"{LOOPBACK}:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        for taken in [self._listening, *self._sockets]:
            with suppress(OSError):
                taken.shutdown(socket.SHUT_RDWR)
            taken.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self._sockets.append(client)
                if not self.silent:
                    host, _, port = self.target.partition(":")
                    store = socket.create_connection((host, int(port)))
                    self._sockets.append(store)
                    threading.Thread(target=self._take, args=(client, store), daemon=True).start()
                    threading.Thread(target=self._give, args=(store, client), daemon=True).start()

    def _take(self, client: socket.socket, store: socket.socket) -> None:
        """Pass on what a client sends."""
        rest = b""
        with suppress(OSError):
            while self._may_go() and (block := client.recv(_BLOCK_BYTES)):
                rest = self._count(rest, block)
                self._may_go()
                store.sendall(block)
                if self.sent < self.slow_bytes:
                    self._closed.wait(self.write_seconds)
            store.shutdown(socket.SHUT_WR)

    def _give(self, store: socket.socket, client: socket.socket) -> None:
        """Pass on what the store answers."""
        with suppress(OSError):
            while block := store.recv(_BLOCK_BYTES):
                self._may_go()
                self._given += len(block)
                if self._given > self.gives_bytes:
                    self.stopped.set()
                    self._closed.wait()
                client.sendall(block)
                self._closed.wait(self.read_seconds)
            client.shutdown(socket.SHUT_WR)

    def _may_go(self) -> bool:
        """Wait for the end of a stop; return false once the proxy is closed."""
        while (left := self._going_at - time.monotonic()) > 0 and not self._closed.wait(left):
            pass
        return not self._closed.is_set()

    def _count(self, rest: bytes, block: bytes) -> bytes:
        """Count a block, begin a stop that is due, and return the bytes in which the next head may have begun."""
        text = rest + block
        heads = list(_HEAD.finditer(text))
        with self._lock:
            self.sent += len(block)
            self.puts.update("#".join(part.decode() for part in head.groups() if part) for head in heads)
            if self._left and self.sent >= self._left[0].after_bytes:
                self._going_at = time.monotonic() + self._left.pop(0).seconds
                self.stopped.set()
        return text[heads[-1].end() if heads else 0 :][-_HEAD_BYTES:]
