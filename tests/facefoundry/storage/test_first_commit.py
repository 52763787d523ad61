"""A committed manifest is never written over, whatever the store answers to conditional writes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from facefoundry.errors import DataLoss
from facefoundry.settings import StoreSettings
from facefoundry.storage import manifest
from facefoundry.storage.conditional import ConditionalWrites
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.store import Store
from tests.faults.proxy import Fault, Proxy, Request

PREFIX = f"sources/{'a' * 40}"
KEY = f"{PREFIX}/manifest.json"
FIRST = Manifest("source", {}, {}, (), {}, "first")
SECOND = dataclasses.replace(FIRST, content_digest="second")


@pytest.fixture
def proxy(store: Store) -> Iterator[Proxy]:
    with Proxy(store.settings.endpoint) as made:
        yield made


@pytest.fixture
def proxied(store_settings: StoreSettings, proxy: Proxy) -> Store:
    return Store(store_settings.model_copy(update={"endpoint": proxy.endpoint, "attempts": 3}))


def test_the_first_of_two_commits_stays_and_the_second_returns_it(store: Store) -> None:
    assert manifest.commit(store, PREFIX, FIRST) == FIRST
    assert manifest.commit(store, PREFIX, SECOND) == FIRST
    assert manifest.load(store, PREFIX) == FIRST


def test_what_is_written_again_and_again_is_replaced(store: Store) -> None:
    manifest.commit(store, PREFIX, FIRST)
    assert manifest.commit(store, PREFIX, SECOND, replace=True) == SECOND
    assert manifest.load(store, PREFIX) == SECOND


def test_a_damaged_manifest_is_told_and_not_written_over(store: Store) -> None:
    store.put_bytes(KEY, b"{")
    with pytest.raises(DataLoss, match=r"manifest\.json"):
        manifest.commit(store, PREFIX, SECOND)
    assert store.get_bytes(KEY) == b"{"


def test_a_commit_whose_answer_was_lost_has_succeeded(store: Store, proxied: Store, proxy: Proxy) -> None:
    faults = iter([Fault(reset="after")])
    proxy.rule = lambda request: next(faults, None) if request.kind == "PUT" else None
    assert manifest.commit(proxied, PREFIX, FIRST) == FIRST == manifest.load(store, PREFIX)


@pytest.mark.parametrize(("status", "code"), [(501, "NotImplemented"), (400, "InvalidArgument")])
def test_a_store_without_conditional_writes_is_written_to_without_them(
    store: Store, proxied: Store, proxy: Proxy, status: int, code: str
) -> None:
    puts: list[Request] = []

    def refuse_first(request: Request) -> Fault | None:
        puts.extend([request] if request.kind == "PUT" else [])
        return Fault(status=status, code=code) if puts == [request] else None

    proxy.rule = refuse_first
    assert manifest.commit(proxied, PREFIX, FIRST) == FIRST == manifest.load(store, PREFIX)
    proxy.rule = lambda request: Fault(status=status, code=code) if request.kind == "PUT" else None
    assert not ConditionalWrites(proxied, "sources/probe").honoured()


def test_whether_a_store_has_conditional_writes_is_found_out_once(store: Store, proxied: Store, proxy: Proxy) -> None:
    found = ConditionalWrites(proxied, "sources/probe")
    assert found.honoured()
    proxy.rule = lambda request: Fault(status=503)
    assert found.honoured()

    def delete_probe() -> bool:
        store.delete(["sources/probe"])
        return False

    proxy.rule = lambda request: Fault(before=delete_probe)
    assert not ConditionalWrites(proxied, "sources/probe").honoured(), "both writes succeeded"
