"""A store that takes a body slowly, over a real socket: only silence ends a request."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import urllib3

from facefoundry.connections import Connections

BODY = bytes(32 << 20)  # far more than the buffers of sockets hold
SILENCE = 0.5
"""Seconds."""


@contextmanager
def server(*, before: float = 0.0, between: float = 0.0) -> Iterator[str]:
    """Answer requests on one connection, and pause before a body and between its blocks. The URL is yielded."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)

        def serve() -> None:
            taken, _ = listening.accept()
            with taken, taken.makefile("rb") as reader:
                while reader.readline():
                    while reader.readline().strip():
                        pass
                    time.sleep(before)
                    left = len(BODY)
                    while left and (block := reader.read(min(left, 256 << 10))):
                        left -= len(block)
                        time.sleep(between)
                    taken.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"


def blocks() -> Iterator[bytes]:
    yield from (BODY[start : start + (1 << 20)] for start in range(0, len(BODY), 1 << 20))


@pytest.mark.parametrize("body", [lambda: BODY, blocks], ids=["bytes", "blocks"])
def test_a_store_may_take_a_body_more_slowly_than_it_is_reached(body: Callable[[], bytes | Iterator[bytes]]) -> None:
    connections = Connections(20.0, connect_seconds=0.1)
    with server(before=SILENCE) as url:
        for _ in range(2):  # the second time on an open connection
            answer = connections.request("PUT", url, body=body(), headers={"Content-Length": str(len(BODY))})
            assert answer.status == 200


def test_a_body_may_take_longer_than_the_longest_silence() -> None:
    with server(between=SILENCE / 40) as url:  # in all more than three times the longest silence
        assert Connections(SILENCE).request("PUT", url, body=BODY).status == 200


def test_silence_ends_a_request() -> None:
    with server(before=20 * SILENCE) as url, pytest.raises(urllib3.exceptions.HTTPError):
        Connections(SILENCE).request("PUT", url, body=BODY)
