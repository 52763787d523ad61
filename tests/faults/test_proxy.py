"""The proxy itself: it changes nothing without a fault, and each fault does what it is named after."""

from __future__ import annotations

import http.client
import os
import threading

import pytest

from facefoundry.errors import NotFound, Unavailable
from facefoundry.storage.store import Store
from tests.faults.proxy import Fault, Proxy


@pytest.fixture
def proxy(store):
    with Proxy(store.settings.endpoint) as proxy:
        yield proxy


@pytest.fixture
def through(store, proxy):
    """Our client behind the proxy, which asks once only."""
    return Store(store.settings.model_copy(update={"endpoint": proxy.endpoint, "attempts": 1}))


def test_a_store_behind_the_proxy_takes_its_signatures_and_gives_everything_back(through, proxy, tmp_path):
    content = os.urandom(3 << 20)
    through.put_bytes("runs/a b+c", content)
    assert through.get_bytes("runs/a b+c") == content
    assert through.exists("runs/a b+c")
    (tmp_path / "large").write_bytes(os.urandom(66 << 20))
    through.put_file("runs/large", tmp_path / "large")
    through.get_file("runs/large", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "large").read_bytes()
    assert list(through.list("runs/")) == ["runs/a b+c", "runs/large"]
    through.delete(["runs/a b+c"])
    assert not through.exists("runs/a b+c")
    kinds = [request.kind for request, _ in proxy.log]
    assert {"PUT", "GET", "HEAD", "CREATE", "PART", "COMPLETE", "LIST", "DELETE"} <= set(kinds)
    assert [request.kind for request in proxy.written() if request.key == "runs/large"][-1] == "COMPLETE"


def test_a_chunked_request_passes(proxy):
    connection = http.client.HTTPConnection(proxy.endpoint)
    connection.request("PUT", "/nowhere/key", body=iter([b"one", b"two"]), encode_chunked=True)
    assert connection.getresponse().status == 403  # it is not signed, but was understood
    connection.close()


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(reset="before"), Fault(reset="after")])
def test_a_fault_of_a_put_is_seen_by_the_client_and_the_store_has_what_was_passed_on(store, through, proxy, fault):
    proxy.rule = lambda request: fault if request.kind == "PUT" else None
    with pytest.raises(Unavailable):
        through.put_bytes("runs/a", b"content")
    assert store.exists("runs/a") is (fault.reset == "after")


def test_answers_are_cut_and_flipped(store, through, proxy):
    store.put_bytes("runs/a", b"0123456789" * 100)
    proxy.rule = lambda request: Fault(flip=True)
    changed = through.get_bytes("runs/a")
    assert len(changed) == 1000
    assert sum(a != b for a, b in zip(changed, b"0123456789" * 100, strict=True)) == 1
    proxy.rule = lambda request: Fault(keep=0.5)
    with pytest.raises(Unavailable):
        through.get_bytes("runs/a")


def test_hooks_run_at_the_moment_of_a_write(store, through, proxy):
    seen = []

    def before():
        seen.append(store.exists("runs/a"))
        return False

    def after():
        seen.append(store.exists("runs/a"))
        return False

    proxy.rule = lambda request: Fault(before=before, after=after) if request.writes else None
    through.put_bytes("runs/a", b"content")
    assert seen == [False, True]


def test_an_outage_refuses_and_ends(through, proxy):
    through.put_bytes("runs/a", b"content")
    with proxy.outage(), pytest.raises(Unavailable):
        through.get_bytes("runs/a")
    assert through.get_bytes("runs/a") == b"content"


def test_threads_share_the_proxy(through):
    def work(number):
        for turn in range(10):
            through.put_bytes(f"runs/{number}-{turn}", bytes([number]) * 1000)
            assert through.get_bytes(f"runs/{number}-{turn}") == bytes([number]) * 1000

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(through.list("runs/"))) == 80
    with pytest.raises(NotFound):
        through.get_bytes("runs/none")
