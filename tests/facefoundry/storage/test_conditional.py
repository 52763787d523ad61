"""Conditional writes on a real store: nothing is overwritten that its writer has not read."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from facefoundry.errors import Conflict, Unavailable
from facefoundry.storage.conditional import put_if_absent, put_if_unchanged
from facefoundry.storage.store import Store
from tests.faults.proxy import Fault, Proxy

KEY = "trainings/x.json"


def test_an_object_is_written_once(store: Store) -> None:
    def put(number: int) -> bool:
        try:
            return bool(put_if_absent(store, KEY, str(number).encode()))
        except Conflict as error:
            assert error.reason == "OBJECT_EXISTS" and error.resource == KEY
            return False

    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(put, range(8)))
    assert written.count(True) == 1
    assert store.get_bytes(KEY) == str(written.index(True)).encode()


def test_an_object_is_replaced_only_by_who_has_read_it(store: Store) -> None:
    first = put_if_absent(store, KEY, b"1")
    assert first == store.stat(KEY).etag
    second = put_if_unchanged(store, KEY, b"2", first)
    with pytest.raises(Conflict) as caught:
        put_if_unchanged(store, KEY, b"3", first)
    assert caught.value.reason == "OBJECT_CHANGED"
    assert store.get_bytes(KEY) == b"2" and store.stat(KEY).etag == second
    with pytest.raises(Conflict):
        put_if_unchanged(store, "trainings/gone.json", b"4", second)


AGAIN = Fault(status=409, code="ConditionalRequestConflict")


def test_a_request_that_met_another_one_is_sent_again(store: Store) -> None:
    faults = iter([AGAIN, AGAIN])
    with Proxy(store.settings.endpoint, rule=lambda request: next(faults, None)) as proxy:
        through = Store(store.settings.model_copy(update={"endpoint": proxy.endpoint}))
        etag = put_if_absent(through, KEY, b"1")
        assert store.get_bytes(KEY) == b"1" and store.stat(KEY).etag == etag
        faults = iter([AGAIN])
        with pytest.raises(Conflict):
            put_if_absent(through, KEY, b"2")
        proxy.rule = lambda request: AGAIN
        with pytest.raises(Unavailable, match="ConditionalRequestConflict"):
            put_if_unchanged(through, KEY, b"3", etag)
    assert store.get_bytes(KEY) == b"1"


def test_a_refused_condition_needs_no_body_to_be_understood(store: Store) -> None:
    class Bare(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(412)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Bare) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        bare = Store(store.settings.model_copy(update={"endpoint": f"127.0.0.1:{server.server_port}"}))
        with pytest.raises(Conflict) as caught:
            put_if_absent(bare, KEY, b"1")
        server.shutdown()
    assert caught.value.reason == "OBJECT_EXISTS"
