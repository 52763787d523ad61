"""How the watch of one kind of object bears an API server that fails, which no real one does when it is asked to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from kubernetes import client

from services.trainer.backends.kubernetes import object_cache
from services.trainer.backends.kubernetes.object_cache import ObjectCache

Object = dict[str, Any]


class ApiServer:
    """Lists what it is told to, and opens watches that stay silent until they are given an event or cut."""

    def __init__(self) -> None:
        self.items: list[Object] = []
        self.status = 200
        self.lists = self.watches = 0
        self.versions: list[str] = []
        self._events: list[Object] = []
        self._changed = threading.Condition()
        self._cut = 0
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        configuration = client.Configuration()
        configuration.host = f"http://127.0.0.1:{self._server.server_port}"
        self.list_jobs = client.BatchV1Api(client.ApiClient(configuration)).list_namespaced_job

    def send(self, kind: str, item: Object) -> None:
        with self._changed:
            self._events.append({"type": kind, "object": item})
            self._changed.notify_all()

    def cut(self) -> None:
        """End the open watches."""
        with self._changed:
            self._cut += 1
            self._changed.notify_all()

    def stop(self) -> None:
        self.cut()
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        query = parse_qs(urlsplit(request.path).query)
        watch = "watch" in query
        with self._changed:
            cut, status = self._cut, self.status
            self.watches += watch
            self.lists += not watch
            if watch:
                self.versions.append(query["resourceVersion"][0])
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        if status != 200:
            self._write(request, b'{"message": "out of order"}')
        elif not watch:
            self._write(request, json.dumps({"metadata": {"resourceVersion": "10"}, "items": self.items}).encode())
        else:
            self._stream(request, cut)
        self._write(request, b"")

    def _write(self, request: BaseHTTPRequestHandler, data: bytes) -> None:
        request.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        request.wfile.flush()

    def _stream(self, request: BaseHTTPRequestHandler, cut: int) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._events or self._cut > cut)
                if self._cut > cut:
                    return
                event = self._events.pop(0)
            self._write(request, json.dumps(event).encode() + b"\n")


def job(name: str, version: int = 1, **status: int) -> Object:
    metadata = {"name": name, "namespace": "jobs", "resourceVersion": str(version), "managedFields": [{}]}
    return {"metadata": metadata, "spec": {"template": {}, "suspend": False}, "status": status}


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    made = ApiServer()
    yield made
    made.stop()


@pytest.fixture
def watch(server: ApiServer) -> Iterator[Callable[[], ObjectCache]]:
    made: list[ObjectCache] = []

    def begin() -> ObjectCache:
        drop = [("spec", "template")]
        made.append(ObjectCache("jobs", server.list_jobs, lambda one: one["metadata"]["name"], drop, namespace="jobs"))
        return made[-1]

    yield begin
    for one in made:
        one.close()


def test_what_is_listed_and_what_the_watch_tells_is_known_without_what_nobody_reads(
    server: ApiServer, watch: Callable[[], ObjectCache]
) -> None:
    server.items = [job("a", 3)]
    seen = watch()
    assert seen.current(60)
    assert seen.of("a") == [{"metadata": {"name": "a", "namespace": "jobs", "resourceVersion": "3"},
                             "spec": {"suspend": False}, "status": {}}]  # fmt: skip
    server.send("ADDED", job("b", 11))
    seen.wait_for("b", 60)
    server.send("MODIFIED", job("b", 12, failed=1))
    until(lambda: [one["status"] for one in seen.of("b")] == [{"failed": 1}])
    assert "managedFields" not in seen.of("b")[0]["metadata"]
    server.send("DELETED", job("b", 13))
    until(lambda: seen.of("b") == [])


def test_a_watch_that_was_cut_goes_on_where_it_was(server: ApiServer, watch: Callable[[], ObjectCache]) -> None:
    seen = watch()
    assert seen.current(60)
    server.send("ADDED", job("a", 42))
    seen.wait_for("a", 60)
    server.cut()
    until(lambda: server.watches >= 2)
    assert (server.versions[0], server.versions[-1], server.lists) == ("10", "42", 1)
    assert len(seen.of("a")) == 1


def test_a_version_that_is_too_old_is_listed_anew(server: ApiServer, watch: Callable[[], ObjectCache]) -> None:
    server.items = [job("a"), job("b")]
    seen = watch()
    assert seen.current(60)
    server.items = [job("b")]
    server.send("ERROR", {"code": 410, "reason": "Expired", "message": "too old"})
    until(lambda: seen.of("a") == [] and server.watches >= 2)
    assert len(seen.of("b")) == 1 and server.lists == 2


def test_a_lost_server_is_noticed_asked_seldom_and_found_again(
    server: ApiServer, watch: Callable[[], ObjectCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_cache, "_TOLERATED_SECONDS", 0.1)
    seen = watch()
    assert seen.current(60)
    server.status = 503
    server.cut()
    until(lambda: not seen.current(0) and seen.why == "out of order")
    began, before = time.monotonic(), server.watches
    until(lambda: server.watches >= before + 2)
    # It waits 1, 2, 4 seconds; asked at once again there would be hundreds of requests in that time.
    assert time.monotonic() - began > 1.0
    server.status = 200
    until(lambda: seen.current(0) and seen.why == "")


def test_a_server_that_was_never_there_is_not_current(server: ApiServer, watch: Callable[[], ObjectCache]) -> None:
    server.status = 403
    seen = watch()
    until(lambda: seen.why == "out of order")
    assert not seen.current(0.1)


def test_a_watch_whose_peer_went_silent_ends_by_itself(
    server: ApiServer, watch: Callable[[], ObjectCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_cache, "_WATCH_TIMEOUT", (5.0, 0.3))
    assert watch().current(60)
    until(lambda: server.watches >= 2)


def test_closing_ends_a_silent_watch(server: ApiServer, watch: Callable[[], ObjectCache]) -> None:
    seen = watch()
    assert seen.current(60)
    before = server.watches
    seen.close()
    server.cut()
    assert server.watches == before
