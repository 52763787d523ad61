"""Copies that the server makes: with their digest, verified, and not made twice."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace

import pytest

from facefoundry.errors import DataLoss, NotFound
from facefoundry.storage.server_copy import Copied, copy_object
from facefoundry.storage.store import Store
from tests.faults.proxy import Proxy

PART = 5 << 20


def source_of(store, data: bytes, key: str = "conversions/a/raw ä.mp4") -> Copied:
    store.put_bytes(key, data)
    return Copied(store.bucket, key, len(data), hashlib.sha256(data).hexdigest(), "video/mp4")


@pytest.mark.parametrize("size", [0, 1000, 2 * PART + 1])
def test_a_copy_has_the_bytes_and_their_digest_and_is_made_once(store, size):
    data, key = os.urandom(size), "datasets/a/ü b.mp4"
    source = source_of(store, data)
    with Proxy(store.settings.endpoint) as proxy:
        ours = Store(store.settings.model_copy(update={"endpoint": proxy.endpoint}))
        assert copy_object(ours, key, source, part_bytes=PART)
        assert not copy_object(ours, key, source, part_bytes=PART)
        kinds = [request.kind for request, _ in proxy.log if request.kind not in ("HEAD", "BUCKET")]
        assert sum(request.size for request, _ in proxy.log) < 1000, "no bytes of the object"
    assert kinds == (["PUT"] if size <= PART else ["CREATE", "PART", "PART", "PART", "COMPLETE"])
    assert store.get_with_metadata(key) == (data, {"sha256": source.sha256})


def test_a_copy_that_is_another_is_made_again(store):
    source = source_of(store, b"new")
    store.put_bytes("datasets/a", b"old", metadata={"sha256": hashlib.sha256(b"old").hexdigest()})
    assert copy_object(store, "datasets/a", source)
    assert store.get_bytes("datasets/a") == b"new"


def test_a_source_that_is_gone_or_has_another_size_is_told(store):
    source = source_of(store, b"content")
    with pytest.raises(DataLoss, match="Expected 6 bytes") as caught:
        copy_object(store, "datasets/a", replace(source, size=6))
    assert (caught.value.reason, caught.value.resource) == ("WRONG_SIZE", source.key)
    with pytest.raises(NotFound):
        copy_object(store, "datasets/a", replace(source, key="conversions/none"))
    assert not store.exists("datasets/a")
