"""How the web page is served: connections that ask for nothing, and readings that fail."""

from __future__ import annotations

import http.client
import socket
import threading
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from facefoundry.webpage.protocol import LimitedProtocol
from facefoundry.webpage.serve import read_again
from tests.facefoundry.webpage.serving import ask, serving


class Few(LimitedProtocol):
    """Keeps few connections."""

    max_connections = 8


class Short(LimitedProtocol):
    """Waits hardly."""

    request_seconds = 0.1


async def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse("here")


APP = Starlette(routes=[Route("/", answer)])


def connect(address: str, sent: bytes = b"") -> socket.socket:
    place = urlsplit(address)
    connection = socket.create_connection((place.hostname, place.port), 30)
    connection.sendall(sent)
    return connection


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_silent_connections_keep_nobody_out():
    with serving(APP, Few) as address:
        used = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
        used.request("GET", "/")
        assert used.getresponse().read() == b"here"
        port = used.sock.getsockname()[1]
        silent = [connect(address) for _ in range(3 * Few.max_connections)]
        assert ask(address).body == b"here"
        used.request("GET", "/")
        assert used.getresponse().read() == b"here"
        assert used.sock.getsockname()[1] == port, "those that never asked are closed first"
        assert is_closed(silent[0])
        used.close()
        for connection in silent:
            connection.close()


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n\r\nG"])
def test_a_connection_that_sends_no_request_is_closed(sent):
    with serving(APP, Short) as address, connect(address, sent) as connection:
        while not is_closed(connection):
            pass


def test_a_reading_that_fails_is_not_the_last():
    stop = threading.Event()
    times: list[int] = []

    def refresh() -> None:
        times.append(len(times))
        if len(times) == 1:
            raise RuntimeError("once")
        stop.set()

    read_again(refresh, stop, seconds=0)
    assert times == [0, 1]
