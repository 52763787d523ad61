"""Copies that the server makes: with their digest, verified, and not made twice."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from dataclasses import replace

import pytest

from facefoundry.errors import DataLoss, NotFound
from facefoundry.storage.server_copy import Copied, copy_object
from facefoundry.storage.store import Store
from tests.faults.proxy import Fault, Proxy, Rule

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


@pytest.mark.parametrize(
    "encryption",
    [
        b"x-amz-server-side-encryption: aws:kms",
        b"x-amz-server-side-encryption: aws:kms:dsse",
        b"x-amz-server-side-encryption-customer-algorithm: AES256",
    ],
)
def test_entity_tags_of_objects_with_an_encryption_key_are_not_compared(store, encryption):
    source = source_of(store, b"content")
    with Proxy(store.settings.endpoint, with_tags(encryption)) as proxy:
        assert copy_object(Store(store.settings.model_copy(update={"endpoint": proxy.endpoint})), "datasets/a", source)
    assert store.get_with_metadata("datasets/a") == (b"content", {"sha256": source.sha256})


def test_a_copy_with_another_entity_tag_is_refused(store):
    source = source_of(store, b"content")
    with Proxy(store.settings.endpoint, with_tags(b"x-amz-server-side-encryption: AES256")) as proxy:
        ours = Store(store.settings.model_copy(update={"endpoint": proxy.endpoint}))
        with pytest.raises(DataLoss, match="Copy it again") as caught:
            copy_object(ours, "datasets/a", source)
    assert (caught.value.reason, caught.value.resource) == ("DIGEST_MISMATCH", "datasets/a")


def with_tags(header: bytes) -> Rule:
    """Return a rule by which each look at an object tells another entity tag, and this header."""

    def edit(head: bytes) -> bytes:
        tag = b'ETag: "' + secrets.token_hex(16).encode() + b'"\r\n' + header
        return re.sub(rb'(?i)etag: "?[0-9a-f]{32}"?', tag, head)

    return lambda request: Fault(head=edit) if request.kind == "HEAD" else None


def test_a_source_that_is_gone_or_has_another_size_is_told(store):
    source = source_of(store, b"content")
    with pytest.raises(DataLoss, match="Expected 6 bytes") as caught:
        copy_object(store, "datasets/a", replace(source, size=6))
    assert (caught.value.reason, caught.value.resource) == ("WRONG_SIZE", source.key)
    with pytest.raises(NotFound):
        copy_object(store, "datasets/a", replace(source, key="conversions/none"))
    assert not store.exists("datasets/a")
