"""What has a tombstone is neither read nor made: a real S3 server."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from facefoundry.errors import Unusable
from facefoundry.storage import document, keys, manifest
from facefoundry.storage.bucket_copy import copy_bucket
from facefoundry.storage.expiry import expire
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.revocation import Tombstone, bury, digests_in, refuse_revoked
from facefoundry.storage.store import Store

SOURCE, CONTENT, OTHER = "1" * 40, "2" * 64, "3" * 40


def tombstone(digest: str) -> Tombstone:
    return Tombstone(digest, "sources", "0" * 40, "2026-11-29T12:00:00+00:00")


def commit(store: Store, prefix: str, content: str = "", **inputs: str) -> Manifest:
    return manifest.commit(store, prefix, Manifest("extraction", inputs, {}, (), {}, content))


def test_a_result_with_a_tombstone_is_not_read(store: Store) -> None:
    commit(store, keys.extraction(SOURCE))
    bury(store, tombstone(OTHER))
    assert manifest.load(store, keys.extraction(SOURCE))
    bury(store, tombstone(SOURCE))
    with pytest.raises(Unusable, match=rf"{SOURCE}.*Leave its clip out") as caught:
        manifest.load_if_committed(store, keys.extraction(SOURCE))
    assert (caught.value.reason, caught.value.metadata) == ("REVOKED", {"digest": SOURCE})


@pytest.mark.parametrize(
    ("prefix", "content", "inputs"),
    [
        (keys.extraction(SOURCE), "", {}),
        (keys.model(SOURCE, 6), "", {}),
        (keys.extraction(OTHER), CONTENT, {}),
        (keys.extraction(OTHER), "", {"source": f"s3://bucket/sources/{SOURCE}"}),
        (keys.conversion(OTHER), "", {"model_digest": CONTENT}),
    ],
)
@pytest.mark.parametrize("replace", [False, True])
def test_nothing_is_made_of_what_has_a_tombstone(
    store: Store, prefix: str, content: str, inputs: dict[str, str], replace: bool
) -> None:
    for digest in (SOURCE, CONTENT):
        bury(store, tombstone(digest))
    with pytest.raises(Unusable) as caught:
        manifest.commit(store, prefix, Manifest("extraction", {**inputs}, {}, (), {}, content), replace=replace)
    assert caught.value.reason == "REVOKED" and not store.objects(prefix)
    assert commit(store, keys.extraction("4" * 40), "5" * 64, source=f"s3://bucket/sources/{'6' * 40}")


def test_the_first_tombstone_stays(store: Store) -> None:
    assert bury(store, tombstone(SOURCE))
    assert not bury(store, Tombstone(SOURCE, "sources", "9" * 40, "2027-01-01T00:00:00+00:00"))
    assert document.get(store, keys.revoked(SOURCE), Tombstone) == tombstone(SOURCE)


def test_digests_are_found_in_keys_and_uris_and_in_nothing_longer() -> None:
    text = f"s3://b/models/{SOURCE}/300 source-{CONTENT}.mp4 {'a' * 41} {'b' * 65} unstated"
    assert list(digests_in(text)) == [SOURCE, CONTENT]


def test_a_copy_takes_tombstones_along_and_rules_keep_them(store: Store, new_store: Callable[[], Store]) -> None:
    target = new_store()
    bury(store, tombstone(SOURCE))
    copy_bucket(store, target)
    assert not any(expire(target).values())
    with pytest.raises(Unusable, match=SOURCE):
        refuse_revoked(target, keys.source(SOURCE))
