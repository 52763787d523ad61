"""How the cache of one kind of object copes with a failing API server, played by a server of the test's own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from kubernetes import client

from services.trainer.backends.kubernetes.object_cache import CacheTimes, ObjectCache, retry_delay
from tests.waiting import wait_until

Object = dict[str, Any]
Watch = Callable[..., ObjectCache[Object]]


class ApiServer:
    """Lists the given items, and opens watches that stay silent until they are given an event or cut."""

    def __init__(self) -> None:
        self.items: list[Object] = []
        self.status = 200
        self.ends_watches = False  # as it is asked to
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
            asked = float(query["timeoutSeconds"][0]) if self.ends_watches else None
            self._stream(request, cut, asked)
        self._write(request, b"")

    def _write(self, request: BaseHTTPRequestHandler, data: bytes) -> None:
        request.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        request.wfile.flush()

    def _stream(self, request: BaseHTTPRequestHandler, cut: int, seconds: float | None) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._events or self._cut > cut, seconds)
                if self._cut > cut or not self._events:
                    return
                event = self._events.pop(0)
            self._write(request, json.dumps(event).encode() + b"\n")


def job(name: str, version: int = 1, **status: int) -> Object:
    metadata = {"name": name, "namespace": "jobs", "resourceVersion": str(version), "managedFields": [{}]}
    return {"metadata": metadata, "spec": {"template": {}, "suspend": False}, "status": status}


@pytest.fixture
def server() -> Iterator[ApiServer]:
    made = ApiServer()
    yield made
    made.stop()


@pytest.fixture
def watch(server: ApiServer) -> Iterator[Watch]:
    made: list[ObjectCache[Object]] = []

    def begin(times: CacheTimes | None = None) -> ObjectCache[Object]:
        made.append(
            ObjectCache(
                "jobs",
                server.list_jobs,
                lambda item: item,
                lambda item: item["metadata"]["name"],
                [("spec", "template")],
                times,
                namespace="jobs",
            )
        )
        return made[-1]

    yield begin
    for cache in made:
        cache.close()


def test_listed_and_watched_objects_are_known_without_the_dropped_fields(server: ApiServer, watch: Watch) -> None:
    server.items = [job("a", 3)]
    seen = watch()
    assert seen.is_current(60)
    assert seen.of("a") == [{"metadata": {"name": "a", "namespace": "jobs", "resourceVersion": "3"},
                             "spec": {"suspend": False}, "status": {}}]  # fmt: skip
    server.send("ADDED", job("b", 11))
    seen.wait_for("b", 60)
    server.send("MODIFIED", job("b", 12, failed=1))
    wait_until(lambda: [item["status"] for item in seen.of("b")] == [{"failed": 1}])
    assert "managedFields" not in seen.of("b")[0]["metadata"]
    server.send("DELETED", job("b", 13))
    wait_until(lambda: seen.of("b") == [])


def test_a_watch_that_was_cut_goes_on_where_it_was(server: ApiServer, watch: Watch) -> None:
    seen = watch()
    assert seen.is_current(60)
    server.send("ADDED", job("a", 42))
    seen.wait_for("a", 60)
    server.cut()
    wait_until(lambda: server.watches >= 2)
    assert (server.versions[0], server.versions[-1], server.lists) == ("10", "42", 1)
    assert len(seen.of("a")) == 1


def test_a_version_that_is_too_old_is_listed_again(server: ApiServer, watch: Watch) -> None:
    server.items = [job("a"), job("b")]
    seen = watch()
    assert seen.is_current(60)
    server.items = [job("b")]
    server.send("ERROR", {"code": 410, "reason": "Expired", "message": "too old"})
    wait_until(lambda: seen.of("a") == [] and server.watches >= 2)
    assert len(seen.of("b")) == 1 and server.lists == 2


def test_a_lost_server_is_noticed_and_found_again(server: ApiServer, watch: Watch) -> None:
    seen = watch(CacheTimes(tolerated=0.0))
    assert seen.is_current(60)
    server.status = 503
    server.cut()
    wait_until(lambda: not seen.is_current(0) and seen.error == "out of order")
    server.status = 200
    wait_until(lambda: seen.is_current(0) and seen.error == "")


def test_a_short_outage_is_tolerated(server: ApiServer, watch: Watch) -> None:
    seen = watch(CacheTimes(tolerated=3600.0))
    assert seen.is_current(60)
    server.status = 503
    server.cut()
    wait_until(lambda: seen.error == "out of order")
    assert seen.is_current(0)


def test_a_failing_server_is_asked_ever_less_often() -> None:
    assert [retry_delay(failures) for failures in range(1, 8)] == [1, 2, 4, 8, 15, 15, 15]


def test_a_server_that_was_never_there_is_not_current(server: ApiServer, watch: Watch) -> None:
    server.status = 403
    seen = watch()
    wait_until(lambda: seen.error == "out of order")
    assert not seen.is_current(0.1)


def test_a_watch_whose_server_went_silent_is_opened_again(server: ApiServer, watch: Watch) -> None:
    assert watch(CacheTimes(silence=0.3)).is_current(60)
    wait_until(lambda: server.watches >= 2)


def test_a_working_server_that_has_nothing_to_say_is_no_failure(
    server: ApiServer, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    server.ends_watches = True
    seen = watch(CacheTimes(watch=1, silence=30.0, tolerated=0.0))
    assert seen.is_current(60)
    wait_until(lambda: server.watches >= 3)
    assert seen.is_current(0) and server.lists == 1
    server.send("ERROR", {"code": 410, "reason": "Expired", "message": "too old"})
    wait_until(lambda: server.lists == 2)
    assert seen.is_current(0) and seen.error == ""
    assert [record.message for record in caplog.records if "watch_failed" in record.message] == []


def test_closing_ends_a_silent_watch(server: ApiServer, watch: Watch) -> None:
    seen = watch()
    assert seen.is_current(60)
    before = server.watches
    seen.close()
    server.cut()
    assert server.watches == before
