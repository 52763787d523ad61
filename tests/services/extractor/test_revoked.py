"""What was revoked is not imported and not extracted again, under whatever name: a real extractor and store."""

from __future__ import annotations

import hashlib

import grpc
import pytest

from facefoundry.errors import Unusable
from facefoundry.rpc.status import from_rpc_error
from facefoundry.storage.revocation import Tombstone, bury
from facefoundry.v1 import extractor_pb2, recipe_pb2
from tests.clips import drifting_face, encode


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return encode(tmp_path_factory.mktemp("clips") / "0.mp4", drifting_face(4), 30).read_bytes()


def revoke(store, digest):
    bury(store, Tombstone(digest, "sources", "0" * 40, "2026-11-29T12:00:00+00:00"))


def test_a_clip_whose_content_was_revoked_is_neither_uploaded_nor_imported(extractor, store, clip):
    sha256 = hashlib.sha256(clip).hexdigest()
    before = extractor.upload(clip)
    store.put_bytes("incoming/033.mp4", clip)
    revoke(store, sha256)
    with pytest.raises(Unusable) as caught:
        extractor.create(clip, name="another-name.mp4")
    assert caught.value.reason == "REVOKED"
    refused = {"a rate": 30, "none": None}
    for rate in refused.values():
        fields = {} if rate is None else {"frame_rate": {"numerator": rate, "denominator": 1}}
        for uri in (before, store.uri("incoming/033.mp4")):
            with pytest.raises(Unusable) as caught:
                extractor.take(uri, **fields)
            assert caught.value.reason == "REVOKED" and sha256 in caught.value.message
    assert store.objects("sources/") == ()
    extractor.expect_rest()


def test_a_clip_is_not_imported_under_rights_that_were_revoked(extractor, store, clip):
    uri, record = extractor.upload(clip), "a" * 64
    revoke(store, record)
    with pytest.raises(Unusable) as caught:
        extractor.take(uri, rights=record)
    assert caught.value.reason == "REVOKED"
    assert extractor.take(uri, rights="b" * 64)[1].frame_count == 4


@pytest.mark.parametrize("of", ["source", "extraction"])
def test_neither_a_call_nor_a_stored_result_gives_an_extraction_of_a_revoked_clip(extractor, store, clip, of):
    source = extractor.take(extractor.upload(clip))[1].uri
    request = extractor_pb2.ExtractRequest(
        source_uri=source, sequence_id="clip", recipe=recipe_pb2.Recipe(name="preview")
    )
    made = list(extractor.stub.Extract(request, timeout=60))[-1].extraction.uri
    revoke(store, (source if of == "source" else made).rpartition("/")[2])
    with pytest.raises(grpc.RpcError) as caught:
        list(extractor.stub.Extract(request, timeout=60))
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert from_rpc_error(caught.value, "extractor").reason == "REVOKED"
