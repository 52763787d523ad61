"""A TCP proxy in front of the object store that reads HTTP/1.1 and injects faults by rule.

It sees method and key of every request. The client signs for the proxy's address; the Host header is passed on
unchanged, so the signature stays valid. Every connection has a thread; a request and its answer are held in memory.
"""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

from facefoundry.local.process import free_ports

LOOPBACK = "127.0.0.1"
_HEAD_BYTES = 1 << 16
_SLICES = 20


@dataclass(frozen=True)
class Request:
    """One request as the proxy sees it.

    Attributes:
        number: Counts all requests of the proxy from 0.
        kind: GET, HEAD, PUT, DELETE or LIST of an object or prefix; CREATE, PART, COMPLETE and ABORT of an upload in
            parts; BUCKET for requests about buckets.
        key: The object's key, or the prefix that is listed; empty for buckets.
        offset: The first byte that is asked for.
        size: Bytes of the request's body.
        answered: Bytes of the answer's body; 0 before it is there.
    """

    number: int
    kind: str
    key: str
    offset: int = 0
    size: int = 0
    answered: int = 0

    @property
    def writes(self) -> bool:
        """Whether the request changes objects."""
        return self.kind in ("PUT", "DELETE", "CREATE", "PART", "COMPLETE", "ABORT")


@dataclass(frozen=True)
class Fault:
    """What happens to a request; a fault without any of these passes it on.

    Attributes:
        status: Answered instead of asking the store.
        code: S3's error code.
        date: The header Date of this answer.
        region: The region of the bucket, in a header of this answer.
        reset: Cut the connection before the request is passed on, or after the store has answered.
        keep: Share of the answer's body that is passed on before the connection is cut.
        flip: Change one byte of the answer's body; the length stays right.
        head: Returns what is passed on instead of the head of the store's answer.
        seconds: How long passing the request on takes.
        before: Called before the request is passed on; when it returns True the request is dropped.
        after: Called when the store has answered; when it returns True the answer is dropped.
    """

    status: int = 0
    code: str = "SlowDown"
    date: str = ""
    region: str = ""
    reset: Literal["", "before", "after"] = ""
    keep: float = 1.0
    flip: bool = False
    head: Callable[[bytes], bytes] | None = None
    seconds: float = 0.0
    before: Callable[[], bool] | None = None
    after: Callable[[], bool] | None = None


Rule = Callable[[Request], "Fault | None"]


@dataclass
class Proxy:
    """Listens on a loopback port of its own while its context is open.

    Attributes:
        target: Host and port of the store; may be changed while running.
        rule: Returns the fault of a request, or None.
        log: Requests that were passed on and answered, with the answer's status, in the order of the answers.
    """

    target: str
    rule: Rule | None = None
    log: list[tuple[Request, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.port = free_ports(1)[0]
        self.endpoint = f"{LOOPBACK}:{self.port}"
        self.faults = 0
        self._lock = threading.Lock()
        self._count = 0
        self._server: socket.socket | None = None
        self._clients: set[socket.socket] = set()

    def __enter__(self) -> Proxy:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self) -> None:
        """Listen."""
        server = socket.create_server((LOOPBACK, self.port))
        self._server = server
        threading.Thread(target=self._accept, args=(server,), name="proxy", daemon=True).start()

    def down(self) -> None:
        """Refuse connections and reset those that are open."""
        server, self._server = self._server, None
        if server is not None:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            server.close()
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            _reset(client)

    @contextmanager
    def hold(self, kind: str, text: str) -> Iterator[threading.Event]:
        """Pass on no request of this kind with this text in its key until the block ends.

        The event is set when such a request has arrived.
        """
        arrived, released = threading.Event(), threading.Event()

        def wait() -> bool:
            arrived.set()
            return not released.wait(60)

        before = self.rule
        self.rule = lambda request: Fault(before=wait) if (request.kind == kind and text in request.key) else None
        try:
            yield arrived
        finally:
            self.rule = before
            released.set()

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Be down for the time of the block."""
        self.down()
        try:
            yield
        finally:
            self.up()

    def written(self) -> list[Request]:
        """Return the writes that the store has accepted, in order."""
        with self._lock:
            return [request for request, status in self.log if request.writes and status < 300]

    def forget(self) -> None:
        """Empty the log."""
        with self._lock:
            self.log.clear()

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), name="proxy-connection", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._clients.add(client)
        try:
            stream = _Stream(client)
            while self._server is not None and self._exchange(client, stream):
                pass
            client.close()
        except (OSError, ValueError, EOFError):
            _reset(client)
        finally:
            with self._lock:
                self._clients.discard(client)

    def _exchange(self, client: socket.socket, stream: _Stream) -> bool:
        """Serve one request; return false when the connection is over."""
        head = stream.head()
        if head is None:
            return False
        method, path = head.split(b" ", 2)[:2]
        headers = _headers(head)
        body = stream.body(headers)
        offset = int(headers.get(b"range", b"bytes=0-").removeprefix(b"bytes=").partition(b"-")[0])
        with self._lock:
            request = _request(self._count, method.decode(), path.decode())
            request = replace(request, offset=offset, size=len(body))
            self._count += 1
        fault = (self.rule and self.rule(request)) or Fault()
        if fault != Fault():
            with self._lock:
                self.faults += 1
        if fault.reset == "before" or (fault.before and fault.before()):
            raise EOFError("dropped before it was passed on")
        if fault.status:
            client.sendall(_refusal(fault, method))
            return True
        answer, answer_body = self._forward(head + body, method, fault.seconds)
        status = int(answer.split(b" ", 2)[1])
        with self._lock:
            self.log.append((replace(request, answered=len(answer_body)), status))
        if fault.reset == "after" or (fault.after and fault.after()):
            raise EOFError("dropped after it was answered")
        if fault.head:
            answer = fault.head(answer)
        if method == b"GET" and answer_body:
            if fault.flip:
                answer_body = _flipped(answer_body, request.number)
            if fault.keep < 1.0:
                client.sendall(answer + answer_body[: int(len(answer_body) * fault.keep)])
                raise EOFError("cut short")
        client.sendall(answer + answer_body)
        return b"connection: close" not in answer.lower()

    def _forward(self, request: bytes, method: bytes, seconds: float) -> tuple[bytes, bytes]:
        """Ask the store and return head and body of its answer."""
        host, _, port = self.target.partition(":")
        with socket.create_connection((host, int(port)), timeout=60.0) as store:
            store.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if seconds:
                size = max(1, -(-len(request) // _SLICES))
                for start in range(0, len(request), size):
                    store.sendall(request[start : start + size])
                    time.sleep(seconds / _SLICES)
            else:
                store.sendall(request)
            stream = _Stream(store)
            head = stream.head()
            while head is not None and head.split(b" ", 2)[1] == b"100":
                head = stream.head()
            if head is None:
                raise EOFError("the store said nothing")
            status = int(head.split(b" ", 2)[1])
            bare = method == b"HEAD" or status in (204, 304)
            return head, b"" if bare else stream.body(_headers(head), to_end=True)


class _Stream:
    """Reads heads and bodies off a socket."""

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._buffer = b""

    def head(self) -> bytes | None:
        """Return everything up to the empty line, or None when the other side has closed."""
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > _HEAD_BYTES:
                raise ValueError("a head of more than 64 KiB")
            block = self._source.recv(65536)
            if not block:
                return None
            self._buffer += block
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n"

    def body(self, headers: dict[bytes, bytes], *, to_end: bool = False) -> bytes:
        """The body as it is on the wire, chunk sizes included."""
        if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
            return self._chunks()
        if b"content-length" in headers:
            return self._exactly(int(headers[b"content-length"]))
        return self._rest() if to_end else b""

    def _chunks(self) -> bytes:
        found = []
        while True:
            line = self._line()
            size = int(line.split(b";")[0], 16)
            found += [line, self._exactly(size + 2) if size else b""]
            if size == 0:
                while (trailer := self._line()) != b"\r\n":
                    found.append(trailer)
                return b"".join([*found, b"\r\n"])

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._more()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line + b"\r\n"

    def _exactly(self, size: int) -> bytes:
        blocks, missing = [self._buffer], size - len(self._buffer)
        while missing > 0:
            block = self._source.recv(1 << 18)
            if not block:
                raise EOFError("the body ends early")
            blocks.append(block)
            missing -= len(block)
        whole = b"".join(blocks)
        self._buffer = whole[size:]
        return whole[:size]

    def _rest(self) -> bytes:
        with suppress(EOFError):
            while True:
                self._more()
        whole, self._buffer = self._buffer, b""
        return whole

    def _more(self) -> None:
        block = self._source.recv(65536)
        if not block:
            raise EOFError("the stream ends early")
        self._buffer += block


def _headers(head: bytes) -> dict[bytes, bytes]:
    pairs = (line.split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    return {name.strip().lower(): value.strip() for name, value in pairs}


def _request(number: int, method: str, target: str) -> Request:
    parts = urlsplit(target)
    query = parse_qs(parts.query, keep_blank_values=True)
    _, _, key = unquote(parts.path).lstrip("/").partition("/")
    if "uploadId" in query:
        kind = {"PUT": "PART", "POST": "COMPLETE", "DELETE": "ABORT"}.get(method, method)
    elif "uploads" in query and method == "POST":
        kind = "CREATE"
    elif "delete" in query:
        kind = "DELETE"
    elif not key:
        kind, key = ("LIST", query["prefix"][0]) if "prefix" in query else ("BUCKET", "")
    else:
        kind = method
    return Request(number, kind, key)


def _refusal(fault: Fault, method: bytes) -> bytes:
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{fault.code}</Code><Message>by rule</Message>'
        "<Resource>/</Resource><RequestId>0</RequestId><HostId>0</HostId></Error>"
    ).encode()
    head = (
        f"HTTP/1.1 {fault.status} By Rule\r\nContent-Type: application/xml\r\nContent-Length: {len(text)}\r\n"
        + (f"Date: {fault.date}\r\n" if fault.date else "")
        + (f"x-amz-bucket-region: {fault.region}\r\n" if fault.region else "")
        + "\r\n"
    ).encode()
    return head if method == b"HEAD" else head + text


def _flipped(body: bytes, seed: int) -> bytes:
    changed = bytearray(body)
    place = random.Random(seed).randrange(len(changed))
    changed[place] ^= 1 << (seed % 8)
    return bytes(changed)


def _reset(connection: socket.socket) -> None:
    """Close with RST instead of FIN."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
    with suppress(OSError):
        connection.close()


def now_and_then(share: float, seed: int) -> Rule:
    """Return a rule that refuses (503) or resets a share of all requests, before or after; seeded."""
    choice = random.Random(seed)
    lock = threading.Lock()
    kinds = (Fault(status=503), Fault(reset="before"), Fault(reset="after"))

    def rule(request: Request) -> Fault | None:
        with lock:
            return choice.choice(kinds) if choice.random() < share else None

    return rule
