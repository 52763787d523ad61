"""Clips in by plain HTTP and ImportSource: a real extractor and a real object store."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading

import cv2
import numpy as np
import pytest
import urllib3

from facefoundry.errors import Busy, Conflict, InvalidInput, NotFound, Unusable
from facefoundry.storage import manifest
from facefoundry.storage.sources import find_source
from facefoundry.storage.store import Store
from facefoundry.v1 import common_pb2, extractor_pb2
from tests.clips import drifting_face, encode
from tests.faults.proxy import Fault, Proxy
from tests.services.extractor.importing import Extractor
from tests.sources import put_source

http = urllib3.PoolManager(retries=False)
RATE = common_pb2.FrameRate(numerator=24, denominator=1)
RIGHTS = "5" * 64


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> bytes:
    return encode(tmp_path_factory.mktemp("video") / "clip.mp4", drifting_face(12), 30).read_bytes()


@pytest.fixture
def start(store, scratch, pool):
    """Starts extractors of the test's bucket."""
    running = []

    def begin(store=store, **settings):
        running.append(Extractor(store, scratch, pool, **settings))
        return running[-1]

    yield begin
    for extractor in running:
        extractor.close()


@pytest.fixture
def extractor(start):
    return start()


def pictures(count, size=(16, 24)):
    """PNG files of grey frames that can be told apart."""
    return [cv2.imencode(".png", np.full((*size, 3), value, np.uint8))[1].tobytes() for value in range(count)]


def tar_of(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def test_an_uploaded_clip_becomes_the_source_that_it_always_was(extractor, store, video, tmp_path):
    uri = extractor.upload(video, name="Müller & Söhne 😀.mp4")
    progress, source = extractor.take(uri, rights=RIGHTS)
    assert (source.frame_count, source.width, source.height, source.rotation) == (12, 192, 192, 0)
    assert (source.codec, source.size_bytes, source.reused) == ("h264", len(video), False)
    assert (source.frame_rate.numerator, source.frame_rate.denominator) == (30, 1)
    assert (source.file_name, source.content_digest) == ("Müller & Söhne 😀.mp4", hashlib.sha256(video).hexdigest())
    assert [row.stage for row in progress] == ["download", "download", "store", "store"]
    assert [key for key in store.list("uploads/") if not key.endswith(".json")] == []
    found = find_source(store, source.uri, "clip")
    assert (found.rights, found.size, found.frame_rate) == (RIGHTS, len(video), None)
    (part,) = found.files.values()
    assert manifest.read_part(store, part) == video
    path = tmp_path / "other.mp4"
    path.write_bytes(video)
    assert put_source(store, path) == source.uri
    extractor.expect_rest()


def test_the_same_clip_is_found_however_it_comes(extractor, store, video):
    first = extractor.take(extractor.upload(video))[1]
    before = store.objects("sources/")
    store.put_bytes("incoming/033.mp4", video)
    again = extractor.create(video)
    assert all(part.stored for part in again.parts)
    for uri, stages in [
        (again.object_uri, []),
        (extractor.upload(video, name="other.mp4"), []),
        (extractor.upload(video, sha256=""), ["download"]),
        (store.uri("incoming/033.mp4"), ["download"]),
    ]:
        progress, source = extractor.take(uri)
        assert source.reused and {row.stage for row in progress} == set(stages)
        source.reused = False
        assert source == first
    assert store.objects("sources/") == before and store.exists("incoming/033.mp4")


def test_a_large_upload_has_parts_of_which_a_missing_one_is_named_and_then_put(start, store, video):
    extractor = start(part_bytes=4000)
    made = extractor.create(video)
    assert len(made.parts) == -(-len(video) // 4000) > 3
    extractor.put(made, video, numbers={*range(len(made.parts))} - {1})
    error = extractor.refusal(made.object_uri)
    assert error.reason == "UPLOAD_INCOMPLETE" and f"part 2 of {len(made.parts)}" in error.message
    resumed = extractor.create(video)
    assert [number for number, part in enumerate(resumed.parts) if part.url] == [1]
    http.request("PUT", resumed.parts[1].url, body=video[4000:7999])
    assert extractor.refusal(made.object_uri).reason == "UPLOAD_PART_SIZE"
    extractor.put(resumed, video, numbers={1})
    assert extractor.take(made.object_uri)[1].content_digest == hashlib.sha256(video).hexdigest()


def test_wrong_content_is_refused_and_put_again(extractor, store, video):
    made = extractor.create(video)
    extractor.put(made, bytes(len(video)))
    assert extractor.refusal(made.object_uri).reason == "SHA256_MISMATCH"
    uri = extractor.upload(video)
    for sha256 in ("0" * 64, hashlib.sha256(b"").hexdigest()):
        assert extractor.refusal(uri, sha256=sha256).reason == "SHA256_MISMATCH"
    assert not extractor.take(uri, sha256=hashlib.sha256(video).hexdigest())[1].reused


def test_a_folder_of_frames_and_a_tar_of_them_are_the_same_source(extractor, store, tmp_path):
    frames, folder = pictures(5), tmp_path / "frames"
    folder.mkdir()
    for number, data in enumerate(frames):
        store.put_bytes(f"incoming/frames/{number + 7}.PNG", data)
        (folder / f"{number + 7}.png").write_bytes(data)
    for name in ("notes.txt", "._7.png", "deep/7.png", "6.png/7.png"):
        store.put_bytes(f"incoming/frames/{name}", b"not a frame")
    progress, source = extractor.take(store.uri("incoming/frames/"), frame_rate=RATE)
    assert [row.stage for row in progress] == ["download"] * 6 + ["store"] * 2
    assert [row.done for row in progress[:6]] == sorted(row.done for row in progress[:6])
    assert (source.frame_count, source.width, source.height, source.codec) == (5, 24, 16, "png")
    assert (source.file_name, source.frame_rate, source.reused) == ("frames", RATE, False)
    assert put_source(store, folder, 24) == source.uri
    tar = tar_of({"clip/notes.txt": b"x", **{f"clip/{number:03d}.png": data for number, data in enumerate(frames)}})
    uri = extractor.upload(tar, name="frames.tar")
    progress, again = extractor.take(uri, frame_rate=RATE)
    assert again.reused and {row.stage for row in progress} == {"download", "unpack"}
    assert (again.uri, again.content_digest) == (source.uri, source.content_digest)
    assert extractor.take(uri, frame_rate=RATE)[1] == again
    extractor.expect_rest()


def test_another_rate_makes_another_source_of_a_tar_that_is_uploaded_again(extractor):
    tar, other = tar_of({"1.png": pictures(1)[0]}), common_pb2.FrameRate(numerator=30000, denominator=1001)
    uri = extractor.upload(tar, name="a.tar")
    first = extractor.take(uri, frame_rate=RATE)[1]
    error = extractor.refusal(uri, NotFound, frame_rate=other)
    assert error.reason == "NO_SUCH_OBJECT" and "Upload it again" in error.message
    second = extractor.take(extractor.upload(tar, name="a.tar"), frame_rate=other)[1]
    assert second.uri != first.uri and second.frame_rate == other


def test_what_cannot_be_imported_is_refused_in_a_sentence_and_leaves_nothing(start, store, new_store, video):
    foreign = new_store()
    foreign.put_bytes("a.mp4", video)
    extractor = start(extractor_max_source_bytes=200_000)
    extractor.store.put_bytes("incoming/empty.mp4", b"")
    extractor.store.put_bytes("incoming/large.mp4", bytes(200_001))
    extractor.store.put_bytes("incoming/notes.mp4", b"These are notes.\n" * 100)
    extractor.store.put_bytes("incoming/cut.mp4", video[:-1000])
    for uri, kind, reason in [
        (store.uri("incoming/none.mp4"), NotFound, "NO_SUCH_OBJECT"),
        (foreign.uri("a.mp4"), InvalidInput, "BUCKET_NOT_ALLOWED"),
        (store.uri("incoming/empty.mp4"), Unusable, "EMPTY_OBJECT"),
        (store.uri("incoming/large.mp4"), Unusable, "TOO_LARGE"),
        (store.uri("incoming/notes.mp4"), Unusable, "NOT_A_VIDEO"),
        (store.uri("incoming/cut.mp4"), Unusable, "TRUNCATED"),
    ]:
        error = extractor.refusal(uri, kind)
        assert error.reason == reason
        assert uri in (error.resource, "") or error.violations[0].field == "object_uri"
    with pytest.raises(InvalidInput, match="form s3://"):
        extractor.take("033.mp4")
    for wrong in ({"name": "a/b.mp4"}, {"name": ""}, {"sha256": "abc"}, {"content": b""}):
        with pytest.raises(InvalidInput) as caught:
            extractor.create(**{"content": video, **wrong})
        assert caught.value.violations[0].field in ("file_name", "sha256", "size_bytes")
    with pytest.raises(Unusable, match="at most 200000"):
        extractor.create(bytes(200_001))


def test_frames_that_are_no_clip_are_refused(start, store):
    extractor = start(extractor_max_frames=4)
    frame = pictures(1)[0]
    folders = {
        "gap": (["1.png", "2.png", "4.png"], "FRAME_GAP", "Frame 3 "),
        "twice": (["1.png", "1.jpg"], "FRAME_TWICE", "appears twice"),
        "unnumbered": (["first.png"], "FRAME_NAME", "first.png"),
        "none": (["notes.txt"], "NO_FRAMES", "Received none"),
        "many": ([f"{number}.png" for number in range(5)], "TOO_LARGE", "more than 4"),
    }
    for folder, (names, reason, words) in folders.items():
        for name in names:
            store.put_bytes(f"incoming/{folder}/{name}", frame)
        store.put_bytes(f"incoming/{folder}.tar", tar_of(dict.fromkeys(names, frame)))
        for uri in (store.uri(f"incoming/{folder}/"), store.uri(f"incoming/{folder}.tar")):
            error = extractor.refusal(uri, frame_rate=RATE)
            assert error.reason == reason and words in error.message
    assert extractor.refusal(store.uri("incoming/nowhere/"), frame_rate=RATE).reason == "NO_FRAMES"
    for name, content, reason in [
        ("notes", b"These are notes.\n" * 100, "NOT_A_VIDEO"),
        ("cut", tar_of({"1.png": frame, "2.png": frame})[:1100], "TRUNCATED"),
        ("blank", tar_of({"1.png": b"no picture"}), "NOT_AN_IMAGE"),
    ]:
        store.put_bytes(f"incoming/{name}.tar", content)
        error = extractor.refusal(store.uri(f"incoming/{name}.tar"), frame_rate=RATE)
        assert error.reason == reason and "frames.tar" not in error.message and "frames-0" not in error.message


@pytest.mark.parametrize(
    ("name", "fields", "field"),
    [
        ("frames/", {}, "frame_rate"),
        ("a.tar", {}, "frame_rate"),
        ("frames/", {"frame_rate": common_pb2.FrameRate(numerator=1001, denominator=1)}, "frame_rate"),
        ("frames/", {"frame_rate": RATE, "sha256": "0" * 64}, "sha256"),
    ],
)
def test_a_wrong_field_is_named(extractor, store, name, fields, field):
    error = extractor.refusal(store.uri(f"incoming/{name}"), InvalidInput, **fields)
    assert [violation.field for violation in error.violations] == [field]


def test_how_a_clip_is_read_is_part_of_its_source(extractor, store, video):
    store.put_bytes("incoming/a.mp4", video)
    uri = store.uri("incoming/a.mp4")
    _, own = extractor.take(uri)
    assert (own.frame_rate.numerator, own.rate_basis) == (30, common_pb2.RATE_BASIS_STATED)
    assert own.stated_frame_rate == own.frame_rate and not own.remarks and not own.mirrored
    _, given = extractor.take(uri, frame_rate=RATE)
    assert (given.frame_rate, given.rate_basis) == (RATE, common_pb2.RATE_BASIS_GIVEN)
    assert given.stated_frame_rate == own.frame_rate and given.content_digest == own.content_digest
    _, tolerant = extractor.take(uri, tolerate_damage=True)
    assert tolerant.tolerate_damage and not own.tolerate_damage
    assert len({own.uri, given.uri, tolerant.uri}) == 3
    for source in (own, given, tolerant):
        seen = extractor.stub.Inspect(extractor_pb2.InspectRequest(source_uri=source.uri), timeout=60)
        assert (seen.frame_rate, seen.rate_basis) == (source.frame_rate, source.rate_basis)
    assert extractor.take(uri, frame_rate=RATE)[1].reused


def test_an_upload_is_read_otherwise_when_it_is_put_again(extractor, video):
    uri = extractor.upload(video)
    own = extractor.take(uri)[1]
    with pytest.raises(NotFound, match="Upload it again"):
        extractor.take(uri, frame_rate=RATE)
    given = extractor.take(extractor.upload(video), frame_rate=RATE)[1]
    assert given.frame_rate == RATE and given.uri != own.uri


@pytest.fixture
def proxied(store):
    """The store as an extractor knows it whose requests pass through a proxy, and the proxy."""
    with Proxy(store.settings.endpoint) as proxy:
        yield Store(store.settings.model_copy(update={"endpoint": proxy.endpoint})), proxy


def reading(key, fault):
    """A rule for the first request that reads an object."""
    faults = [fault]
    return lambda request: faults.pop() if faults and (request.kind, request.key) == ("GET", key) else None


def test_a_clip_that_changes_while_it_is_read_is_refused_and_then_imported(start, store, proxied, video):
    passed, proxy = proxied
    extractor = start(store=passed)
    uri = store.uri("incoming/a.mp4")
    store.put_bytes("incoming/a.mp4", bytes(len(video)))
    proxy.rule = reading("incoming/a.mp4", Fault(after=lambda: store.put_bytes("incoming/a.mp4", video) is not None))
    error = extractor.refusal(uri, Conflict)
    assert (error.reason, error.resource) == ("OBJECT_CHANGED", uri)
    assert extractor.take(uri)[1].content_digest == hashlib.sha256(video).hexdigest()


def test_an_upload_is_listed_once_and_read_once(start, store, proxied, video):
    passed, proxy = proxied
    extractor = start(store=passed)
    made = extractor.create(video)
    folder = made.object_uri.removeprefix(store.uri("")).rpartition("/")[0]
    assert [(request.kind, request.key) for request, _ in proxy.log] == [
        ("HEAD", f"revoked/{hashlib.sha256(video).hexdigest()}.json"),
        ("GET", f"{folder}.json"),
        ("PUT", f"{folder}.json"),
    ]
    extractor.put(made, video)
    proxy.log.clear()
    extractor.take(made.object_uri)
    requests = [(request.kind, request.key.split("/")[0]) for request, _ in proxy.log if "manifest" not in request.key]
    assert requests.count(("LIST", "uploads")) == 1
    assert requests.count(("GET", "uploads")) == 2, "the document and the file"
    assert requests.count(("PUT", "sources")) == 1
    assert requests.count(("PUT", "uploads")) == 1, "the document"
    assert requests.count(("HEAD", "revoked")) == 3, "for the file of the document, the bytes and the source"
    assert requests.count(("LIST", "revoked")) == 1, "before the manifest is written"
    assert len(requests) == 10, "the last one deletes the file"
    assert list(store.list(f"{folder}/")) == []


def test_frames_that_change_while_they_are_read_are_refused(start, store, proxied):
    passed, proxy = proxied
    for number, data in enumerate(pictures(3)):
        store.put_bytes(f"incoming/frames/{number}.png", data)
    uri = store.uri("incoming/frames/")
    extractor = start(store=passed)
    for fault in (
        Fault(after=lambda: store.put_bytes("incoming/frames/0.png", pictures(4)[3]) is not None),
        Fault(after=lambda: store.put_bytes("incoming/frames/3.png", pictures(4)[3]) is not None),
        Fault(before=lambda: store.delete(["incoming/frames/1.png"]) is not None),
    ):
        proxy.rule = reading("incoming/frames/1.png", fault)
        assert extractor.refusal(uri, Conflict, frame_rate=RATE).reason == "OBJECT_CHANGED"


def test_a_caller_that_leaves_costs_nothing_and_the_call_made_again_is_as_the_first(start, store, proxied, video):
    passed, proxy = proxied
    extractor, left, arrived = start(store=passed), threading.Event(), threading.Event()

    def hold():
        arrived.set()
        return not left.wait(60)

    store.put_bytes("incoming/a.mp4", video)
    uri = store.uri("incoming/a.mp4")
    proxy.rule = reading("incoming/a.mp4", Fault(before=hold))
    call = extractor.stub.ImportSource(extractor_pb2.ImportSourceRequest(object_uri=uri), timeout=60)
    assert next(call).progress.stage == "download" and arrived.wait(60)
    with pytest.raises(Busy):
        extractor.take(uri)
    call.cancel()
    left.set()
    extractor.expect_rest()
    assert store.objects("sources/") == ()
    source = extractor.take(uri)[1]
    assert source.frame_count == 12 and not source.reused


def test_a_bucket_that_is_named_is_imported_from(start, store, new_store, video):
    foreign = new_store()
    foreign.put_bytes("clips/033.mp4", video)
    extractor = start(import_buckets=f"another-bucket,{foreign.bucket}")
    source = extractor.take(foreign.uri("clips/033.mp4"))[1]
    assert source.uri.startswith(store.uri("sources/"))
    assert list(foreign.list("")) == ["clips/033.mp4"]


def test_an_imported_clip_is_inspected(extractor, video):
    source = extractor.take(extractor.upload(video))[1]
    found = extractor.stub.Inspect(extractor_pb2.InspectRequest(source_uri=source.uri), timeout=60)
    for field in ("frame_count", "frame_rate", "width", "height", "rotation", "codec"):
        assert getattr(found, field) == getattr(source, field)


@pytest.mark.parametrize("name", ["raw.mp4", "frames/", ""])
def test_a_fake_is_not_imported_as_a_real_clip(extractor, store, video, name):
    store.put_bytes(f"conversions/{'a' * 40}/raw.mp4", video)
    fields = {} if name == "raw.mp4" else {"frame_rate": RATE}
    refused = extractor.refusal(store.uri(f"conversions/{'a' * 40}/{name}"), InvalidInput, **fields)
    assert refused.reason == "SYNTHETIC"
    assert refused.violations[0].field == "object_uri"
    assert store.objects("sources/") == ()
