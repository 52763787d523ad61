"""Serves an application on the loopback address for tests, and asks it."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp

from facefoundry.webpage.protocol import LimitedProtocol


@dataclass(frozen=True)
class Answer:
    """The answer to a request; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def ask(address: str, path: str = "/", method: str = "GET", **headers: str) -> Answer:
    """Send a request; the path is sent as it is."""
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


@contextmanager
def serving(app: ASGIApp, http: type[LimitedProtocol] = LimitedProtocol, port: int = 0) -> Iterator[str]:
    """Serve an application during the block, and yield its address."""
    config = uvicorn.Config(app, port=port, http=http, log_level="critical", lifespan="off", server_header=False)
    server = uvicorn.Server(config)
    listener = config.bind_socket()
    listener.listen(128)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
