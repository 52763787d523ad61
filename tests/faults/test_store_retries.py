"""A store with retries repeats requests for a time; without, it fails at the first error."""

from __future__ import annotations

import pytest

from facefoundry.errors import DataLoss, NotFound, Unavailable
from facefoundry.storage import document
from facefoundry.storage.manifest import Part
from facefoundry.storage.store import Store
from tests.faults.proxy import Fault, Proxy, Request


@pytest.fixture
def proxy(store):
    with Proxy(store.settings.endpoint) as proxy:
        yield proxy


def through(store, proxy, **changes):
    return Store(store.settings.model_copy(update={"endpoint": proxy.endpoint, "attempts": 1, **changes}))


def test_a_store_with_retries_waits_until_its_server_is_back(store, proxy, tmp_path):
    ours = through(store, proxy).with_retries_for(120.0, on_wait=lambda _: proxy.up())
    ours.put_bytes("runs/a", b"content")
    proxy.down()
    assert ours.get_bytes("runs/a") == b"content"
    for use in (
        lambda: ours.put_bytes("runs/b", b"b"),
        lambda: list(ours.list("runs/")),
        lambda: ours.exists("runs/b"),
        lambda: ours.get_file("runs/b", tmp_path / "b"),
        lambda: ours.delete(["runs/b"]),
    ):
        proxy.down()
        use()
    with pytest.raises(NotFound):
        ours.get_bytes("runs/b")


def test_a_wait_is_reported_and_ends(store, proxy):
    reports: list[str] = []
    requests: list[Request] = []

    def refuse(request: Request) -> Fault:
        requests.append(request)
        return Fault(status=503)

    ours = through(store, proxy).with_retries_for(1.0, on_wait=reports.append)
    proxy.rule = refuse
    with pytest.raises(Unavailable):
        ours.get_bytes("runs/a")
    assert len(requests) > 1
    (report,) = reports
    assert "runs/a" in report and "up to 1 s" in report


def test_a_failed_delete_is_tried_again(store, proxy):
    ours = through(store, proxy, attempts=3)
    faults = iter([Fault(status=503), Fault(reset="after")])
    ours.put_bytes("runs/a", b"content")
    proxy.rule = lambda request: next(faults, None)
    ours.delete(["runs/a"])
    assert not store.exists("runs/a")


def test_a_refusal_names_the_code_of_the_store(store, proxy):
    proxy.rule = lambda request: Fault(status=503, code="SlowDown")
    with pytest.raises(Unavailable, match="SlowDown") as caught:
        through(store, proxy, attempts=2).put_bytes("runs/a", b"content")
    assert (caught.value.reason, caught.value.resource) == ("STORE_ERROR", "runs/a")


def test_a_full_store_is_an_error_of_its_own(store, proxy):
    proxy.rule = lambda request: Fault(status=507, code="XMinioStorageFull")
    with pytest.raises(Unavailable, match="no space") as caught:
        through(store, proxy).put_bytes("runs/a", b"content")
    assert (caught.value.reason, caught.value.resource) == ("STORE_FULL", "runs/a")


def test_a_document_that_arrives_damaged_is_read_once_more(store, proxy):
    ours, written = through(store, proxy), Part("a", "runs/a", 7, "0" * 64)
    document.put(ours, "runs/a.json", document.encode(written))
    faults = iter([Fault(flip=True)])
    proxy.rule = lambda request: next(faults, None)
    assert document.get(ours, "runs/a.json", Part) == written
    proxy.rule = lambda request: Fault(flip=True)
    with pytest.raises(DataLoss, match=r"runs/a\.json is damaged") as caught:
        document.get(ours, "runs/a.json", Part)
    assert (caught.value.reason, caught.value.resource) == ("BAD_DOCUMENT", "runs/a.json")


def test_a_list_that_cannot_be_read_is_asked_for_again(store, proxy):
    ours = through(store, proxy, attempts=40)
    keys = [f"runs/{number}" for number in range(5)]
    for key in keys:
        ours.put_bytes(key, b"x")
    answers = []

    def rule(request):
        answers.append(request)
        return Fault(flip=True) if len(answers) % 2 else None

    proxy.rule = rule
    for _ in range(20):
        assert len(list(ours.list("runs/"))) <= 5
    assert len(answers) > 20, "some could not be read"
