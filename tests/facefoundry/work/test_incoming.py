"""Uploads by plain HTTP, and the files that services import."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import replace

import pytest
import urllib3

from facefoundry.errors import Conflict, InvalidInput, NotFound, Unusable
from facefoundry.settings import ServerSettings
from facefoundry.storage import document, manifest
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.uploads import UploadRecord, Uploads
from facefoundry.v1 import files_pb2
from facefoundry.work.incoming import IncomingFiles

http = urllib3.PoolManager(retries=False)
CONTENT = os.urandom(25)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = "Müller & Söhne 😀.mp4"


@pytest.fixture
def uploads(store):
    return Uploads(store, max_bytes=100, part_bytes=10)


@pytest.fixture
def incoming(store, uploads):
    return IncomingFiles(store, uploads)


def announce(uploads, name=NAME, size=25, sha256=SHA256):
    return uploads.create(files_pb2.CreateUploadRequest(file_name=name, size_bytes=size, sha256=sha256))


def put(upload, content=CONTENT, numbers=(0, 1, 2)):
    """PUT parts of an upload."""
    for number in numbers:
        part = upload.parts[number]
        body = content[part.offset_bytes : part.offset_bytes + part.size_bytes]
        assert http.request("PUT", part.url, body=body).status == 200


def read(incoming, file, path, sha256=""):
    """Download a file, and return what `fetch` yields and returns."""
    seen, fetching = [], incoming.fetch(file, path, sha256)
    while True:
        try:
            seen.append(next(fetching).done)
        except StopIteration as end:
            return seen, end.value


def committed(store, prefix="sources/" + "0" * 40):
    """The URI of a committed result."""
    manifest.commit(store, prefix, Manifest("source", {}, {}, (), {}, "00"))
    return store.uri(prefix)


def test_a_file_goes_up_in_parts_and_comes_out_as_it_was(store, uploads, incoming, tmp_path):
    upload = announce(uploads)
    assert re.fullmatch(rf"s3://{store.bucket}/uploads/[0-9a-f]{{40}}/{NAME}", upload.object_uri)
    assert [(part.offset_bytes, part.size_bytes, part.stored) for part in upload.parts] == [
        (0, 10, False),
        (10, 10, False),
        (20, 5, False),
    ]
    put(upload)
    file = incoming.find(upload.object_uri)
    assert (file.name, file.size, file.sha256, file.result) == (NAME, 25, SHA256, "")
    assert read(incoming, file, tmp_path / "a") == ([10, 20, 25], SHA256)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert [key.rpartition(".")[2] for key in store.list("uploads/") if not key.endswith(".json")] == [
        "part-00001-of-00003",
        "part-00002-of-00003",
        "part-00003-of-00003",
    ]


def test_a_small_file_is_a_single_object_with_its_name(store, uploads, incoming, tmp_path):
    upload = announce(uploads, size=10)
    put(upload, numbers=[0])
    assert store.get_bytes(upload.object_uri.removeprefix(store.uri(""))) == CONTENT[:10]
    with pytest.raises(Unusable, match=f"to have SHA-256 {SHA256}"):
        read(incoming, incoming.find(upload.object_uri), tmp_path / "a")


def test_an_upload_with_a_digest_resumes_and_one_without_is_another(uploads):
    first = announce(uploads)
    put(first, numbers=[0, 2])
    again = announce(uploads)
    assert again.object_uri == first.object_uri
    assert [(part.stored, bool(part.url)) for part in again.parts] == [(True, False), (False, True), (True, False)]
    assert announce(uploads, name="other.mp4").object_uri.split("/")[4] != first.object_uri.split("/")[4]
    assert announce(uploads, sha256="").object_uri != announce(uploads, sha256="").object_uri


def test_an_upload_keeps_its_parts_when_the_size_of_parts_changes(store, uploads):
    put(announce(uploads), numbers=[0])
    again = announce(Uploads(store, max_bytes=100, part_bytes=7))
    assert [part.size_bytes for part in again.parts] == [10, 10, 5] and again.parts[0].stored


@pytest.mark.parametrize(
    "forged",
    [{"file_name": "other.mp4"}, {"size_bytes": 26}, {"part_bytes": 0}, {"sha256": "0" * 64}, {"size_bytes": 0}],
)
def test_a_record_that_is_not_of_its_upload_is_none_and_is_written_over(store, uploads, incoming, forged):
    key = f"uploads/{announce(uploads).object_uri.split('/')[4]}.json"
    record = document.get(store, key, UploadRecord)
    document.put(store, key, document.encode(replace(record, result=committed(store), **forged)))
    again = announce(uploads)
    assert not any(part.stored for part in again.parts)
    assert document.get(store, key, UploadRecord) == record
    put(again)
    assert incoming.find(again.object_uri).size == 25


def test_a_missing_part_and_one_with_a_wrong_size_are_named(uploads, incoming):
    upload = announce(uploads)
    put(upload, numbers=[0, 2])
    with pytest.raises(Unusable, match=r"part-00002-of-00003 is missing, part 2 of 3\. Put it") as caught:
        incoming.find(upload.object_uri)
    assert (caught.value.reason, caught.value.metadata) == ("UPLOAD_INCOMPLETE", {"part": "2"})
    http.request("PUT", upload.parts[1].url, body=b"short")
    with pytest.raises(Unusable, match=r"Expected 10 bytes in .*part-00002-of-00003.* Received 5\.") as caught:
        incoming.find(upload.object_uri)
    assert caught.value.reason == "UPLOAD_PART_SIZE"
    put(upload, numbers=[1])
    assert incoming.find(upload.object_uri).size == 25


def test_wrong_content_is_refused_and_must_be_uploaded_again(store, uploads, incoming, tmp_path):
    upload = announce(uploads)
    put(upload, content=bytes(25))
    with pytest.raises(Unusable, match=rf"{SHA256}\. Received .* Upload it again") as caught:
        read(incoming, incoming.find(upload.object_uri), tmp_path / "a")
    assert (caught.value.reason, caught.value.resource) == ("SHA256_MISMATCH", upload.object_uri)
    assert list(store.list("uploads/")) == []
    assert not any(part.stored for part in announce(uploads).parts)


def test_a_digest_that_the_caller_gives_deletes_nothing(store, uploads, incoming, tmp_path):
    upload = announce(uploads)
    put(upload)
    with pytest.raises(Unusable, match=rf"{'0' * 64}\. Received {SHA256}\.$"):
        read(incoming, incoming.find(upload.object_uri), tmp_path / "a", sha256="0" * 64)
    assert incoming.find(upload.object_uri).size == 25


def test_after_the_import_the_parts_are_gone_and_what_they_became_is_found(store, uploads, incoming):
    upload = announce(uploads)
    put(upload)
    result = committed(store)
    incoming.finish(incoming.find(upload.object_uri), result)
    assert [key for key in store.list("uploads/") if not key.endswith(".json")] == []
    assert incoming.find(upload.object_uri).result == result
    again = announce(uploads)
    assert [(part.stored, part.url) for part in again.parts] == [(True, "")] * 3
    store.delete([f"{result.removeprefix(store.uri(''))}/manifest.json"])
    assert not any(part.stored for part in announce(uploads).parts), "what it became was deleted"


def test_a_file_that_changes_while_it_is_read_is_a_conflict(store, uploads, incoming, tmp_path):
    upload = announce(uploads)
    put(upload)
    store.put_bytes("clips/a.mp4", CONTENT)

    def change(key, content):
        file = incoming.find(store.uri(key))
        fetching = incoming.fetch(file, tmp_path / "a")
        next(fetching)
        if content is None:
            store.delete([key, *store.list(key + ".")])
        else:
            store.put_bytes(file.objects[-1].key, content)
        with pytest.raises(Conflict, match="changed while it was read") as caught:
            list(fetching)
        assert (caught.value.reason, caught.value.resource) == ("OBJECT_CHANGED", file.uri)

    key = upload.object_uri.removeprefix(store.uri(""))
    change("clips/a.mp4", bytes(25))
    change("clips/a.mp4", CONTENT + b"more")
    change("clips/a.mp4", None)
    change(key, bytes(5))
    change(key, bytes(4))
    put(upload)
    change(key, None)


def test_what_cannot_be_imported_is_named(store, new_store, incoming, uploads):
    store.put_bytes("clips/empty.mp4", b"")
    for uri, kind, reason in [
        (store.uri("clips/none.mp4"), NotFound, "NO_SUCH_OBJECT"),
        (store.uri(f"uploads/{'0' * 40}/none.mp4"), NotFound, "NO_SUCH_OBJECT"),
        (store.uri("clips/empty.mp4"), Unusable, "EMPTY_OBJECT"),
        ("s3://elsewhere/a.mp4", InvalidInput, "BUCKET_NOT_ALLOWED"),
        ("clips/a.mp4", InvalidInput, "URI"),
    ]:
        with pytest.raises(kind, match=uri) as caught:
            incoming.find(uri)
        assert caught.value.reason == reason
    with pytest.raises(NotFound, match="no bucket 'not-there'") as caught:
        IncomingFiles(store, uploads, ["not-there"]).find("s3://not-there/a.mp4")
    assert caught.value.reason == "NO_SUCH_BUCKET"


def test_objects_of_named_buckets_are_read(store, new_store, uploads, tmp_path):
    other = new_store()
    other.put_bytes("clips/a.mp4", CONTENT)
    files = IncomingFiles(store, uploads, [other.bucket])
    file = files.find(other.uri("clips/a.mp4"))
    assert (file.name, file.upload) == ("a.mp4", None)
    assert read(files, file, tmp_path / "a")[1] == SHA256
    files.finish(file, "s3://x")
    assert other.exists("clips/a.mp4")


def test_the_urls_of_a_very_large_file_fit_in_a_message(store):
    size = 671_088_640_000
    made = announce(Uploads(store, max_bytes=size), name="ü" * 100, size=size)
    assert len(made.parts) == 500 and made.ByteSize() < ServerSettings().max_message_bytes
    assert sum(part.size_bytes for part in made.parts) == size and made.parts[0].size_bytes < 5 << 30


def test_a_file_that_is_too_large_is_refused_by_its_announced_size(store, uploads):
    with pytest.raises(Unusable, match=rf"{NAME} has 101 bytes; at most 100 are accepted") as caught:
        announce(uploads, size=101)
    assert caught.value.reason == "TOO_LARGE"
    assert list(store.list("")) == []
