"""A server on loopback that does one thing with every connection, for tests of what clients make of it."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from facefoundry.local.process import LOOPBACK

__all__ = ["Handler", "Listener", "answering", "cutting", "presenting"]

Handler = Callable[[socket.socket], None]
_SECONDS = 10.0


class Listener:
    """Listens while its context is open, and closes every connection after `handle`.

    Attributes:
        handle: Gets each connection; may be changed while it listens.
        endpoint: Host and port.
        times: When connections were made, by `time.monotonic`.
    """

    def __init__(self, handle: Handler) -> None:
        self.handle = handle
        self.times: list[float] = []
        self._listening = socket.create_server((LOOPBACK, 0))
        self.endpoint = f"{LOOPBACK}:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Listener:
        threading.Thread(target=self._accept, name="listener", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                client.settimeout(_SECONDS)
                self.times.append(time.monotonic())
                with client, suppress(OSError):
                    self.handle(client)


def presenting(certificate: tuple[Path, Path]) -> Handler:
    """Present a certificate, by its file and that of its key; for HTTP and for gRPC."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.load_cert_chain(*certificate)

    def handle(client: socket.socket) -> None:
        context.wrap_socket(client, server_side=True).close()

    return handle


def cutting(client: socket.socket) -> None:
    """Close the connection once the client has sent something, as a server that goes away."""
    client.recv(1)


def answering(status: int, content_type: str, text: str) -> Handler:
    """Answer HTTP/1.1, whatever the client sent."""
    answer = (
        f"HTTP/1.1 {status} Answer\r\nContent-Type: {content_type}\r\nContent-Length: {len(text)}\r\n"
        f"Connection: close\r\n\r\n{text}"
    )

    def handle(client: socket.socket) -> None:
        client.recv(1 << 16)
        client.sendall(answer.encode())
        client.shutdown(socket.SHUT_WR)
        while client.recv(1 << 16):  # a connection that is closed with unread bytes is reset
            pass

    return handle
