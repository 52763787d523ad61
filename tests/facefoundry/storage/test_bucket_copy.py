"""A copy of the bucket has every object with its digest, and continues where an earlier one was stopped."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import partial

import pytest

from facefoundry.errors import Conflict, DataLoss
from facefoundry.storage import document, manifest
from facefoundry.storage.bucket_copy import copy_bucket
from facefoundry.storage.store import Store
from tests.faults.proxied_store import half_visible
from tests.faults.proxy import Fault, Proxy, Request

PREFIX = "extractions/" + "0" * 40


@pytest.fixture
def filled(store):
    """A bucket with a result of two parts, a document, a file of a dataset and an object without a digest."""
    parts = tuple(manifest.put_part(store, PREFIX, f"faces-0000{number}.tar", os.urandom(10_000)) for number in (0, 1))
    made = manifest.Manifest("extraction", {}, {}, parts, {}, "0" * 64)
    manifest.commit(store, PREFIX, made)
    document.put(store, "runs/a/run.json", b"{}")
    store.put_bytes("uploads/b/clip.json", b"not a document")
    store.put_bytes("datasets/a/raw.mp4", b"video", metadata={"sha256": hashlib.sha256(b"video").hexdigest()})
    return store


def everything(store) -> dict[str, tuple[bytes, dict[str, str]]]:
    return {key: store.get_with_metadata(key) for key in store.list("")}


def test_a_copy_has_the_same_objects_and_metadata_and_a_second_one_finds_them(filled, new_store):
    target = new_store()
    first = copy_bucket(filled, target)
    assert everything(target) == everything(filled)
    assert (first.objects, first.copied, first.found) == (6, 6, 0) and first.size == first.copied_bytes
    again = copy_bucket(filled, target)
    assert (again.copied, again.found) == (0, 6) and again.found_bytes == again.size


def test_what_changed_or_lacks_its_digest_is_copied_again(filled, new_store):
    target = new_store()
    copy_bucket(filled, target)
    document.put(filled, "runs/a/run.json", b"[]")
    target.put_bytes(f"{PREFIX}/manifest.json", filled.get_bytes(f"{PREFIX}/manifest.json"))  # without metadata
    assert copy_bucket(filled, target).copied == 2
    assert everything(target) == everything(filled)


@pytest.mark.parametrize("key", ["part", "document"])
def test_an_object_that_is_damaged_in_the_source_is_named_and_not_copied(filled, new_store, key):
    target = new_store()
    damaged = next(filled.list(f"{PREFIX}/faces-00001-")) if key == "part" else "runs/a/run.json"
    filled.put_bytes(damaged, b"x" * 10_000, metadata={"sha256": "0" * 64})
    with pytest.raises(DataLoss, match=damaged):
        copy_bucket(filled, target)
    assert not target.exists(damaged) and not target.exists(f"{PREFIX}/manifest.json")


def test_bytes_that_change_on_the_way_are_found(filled, new_store):
    target = new_store()
    with Proxy(filled.settings.endpoint) as proxy:
        proxy.rule = lambda request: Fault(flip=True) if request.kind == "GET" and "/faces-" in request.key else None
        through = type(target)(target.settings.model_copy(update={"endpoint": proxy.endpoint, "attempts": 1}))
        with pytest.raises(DataLoss, match="Received") as caught:
            copy_bucket(filled, through)
    assert "/faces-" in caught.value.resource
    assert half_visible(target) == []


def test_a_manifest_is_copied_after_its_parts(filled, new_store):
    target, seen = new_store(), list[Request]()

    def record(request: Request) -> None:
        seen.append(request)

    with Proxy(target.settings.endpoint, rule=record) as proxy:
        copy_bucket(filled, type(target)(target.settings.model_copy(update={"endpoint": proxy.endpoint})))
    written = [request.key for request in seen if request.kind == "PUT"]
    assert written[-1] == f"{PREFIX}/manifest.json" and len(written) == 6


def put_later(store: Store, key: str, put: Callable[[], object], than: Store) -> None:
    """Write an object until the store says that it is newer than that of another one; times may be whole seconds."""
    while True:
        put()
        written, other = store.objects(key)[0].modified, than.objects(key)[0].modified
        assert written and other
        if written > other:
            return


@pytest.mark.parametrize("key", ["runs/a/run.json", f"{PREFIX}/manifest.json", "uploads/b/clip.json"])
def test_what_is_newer_in_the_target_stays_unless_it_may_be_written_over(filled: Store, new_store, key: str) -> None:
    target = new_store()
    copy_bucket(filled, target)
    put = target.put_bytes if key.startswith("uploads/") else lambda name, data: document.put(target, name, data)
    put_later(target, key, lambda: put(key, b'{"live": 1}'), than=filled)
    with pytest.raises(Conflict, match="--overwrite") as caught:
        copy_bucket(filled, target)
    assert (caught.value.reason, caught.value.resource) == ("TARGET_NEWER", key) and key in caught.value.message
    assert target.get_bytes(key) == b'{"live": 1}'
    assert copy_bucket(filled, target, overwrite=True).copied == 1
    assert everything(target) == everything(filled)


def test_a_damaged_part_or_document_of_the_target_is_replaced_though_it_is_newer(filled: Store, new_store) -> None:
    target = new_store()
    copy_bucket(filled, target)
    part = next(filled.list(f"{PREFIX}/faces-00001-"))
    for key in (part, "runs/a/run.json"):
        put_later(target, key, partial(target.put_bytes, key, b"x"), than=filled)
    assert copy_bucket(filled, target).copied == 2
    assert everything(target) == everything(filled)
