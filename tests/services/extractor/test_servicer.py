"""The extractor over a real loopback connection and a real object store."""

import json
import threading
from contextlib import contextmanager

import grpc
import numpy as np
import pytest

from facefoundry import archive, recipes
from facefoundry.errors import Busy, DataLoss, InvalidInput, NotFound, Unusable
from facefoundry.faces import face_tar
from facefoundry.faces.alignments import Alignments
from facefoundry.rpc.status import from_rpc_error
from facefoundry.storage import keys, manifest
from facefoundry.storage.store import Store
from facefoundry.v1 import extractor_pb2, extractor_pb2_grpc, recipe_pb2
from services.extractor import plan
from services.extractor.__main__ import build
from services.extractor.plan import ALGORITHM_VERSION
from services.extractor.settings import ExtractorSettings
from tests.faults.proxy import Proxy
from tests.scratch import files_in
from tests.sources import put_source
from tests.waiting import wait_until

PART = 10


class Extractor:
    """A running extractor with small parts, and calls to it."""

    def __init__(self, store, scratch, **settings):
        self.scratch = scratch
        self.proxy = Proxy(store.settings.endpoint)
        self.proxy.up()
        values = ExtractorSettings(listen="127.0.0.1:0", scratch_dir=scratch, **settings)
        passed = Store(store.settings.model_copy(update={"endpoint": self.proxy.endpoint}))
        self.server, self.runner = build(values, passed, part_frames=PART)
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.server.start()}")
        self.stub = extractor_pb2_grpc.ExtractorServiceStub(self.channel)

    def close(self):
        self.channel.close()
        self.server.stop()
        self.runner.close()
        self.proxy.down()

    @contextmanager
    def held_at(self, part, source_uri):
        """Start an extraction, whose stream is yielded; during the block the store does not take this part."""
        with self.proxy.hold("PUT", f"/{part}") as arrived:
            call = self.stub.Extract(self.request(source_uri), timeout=120)
            next(call)
            assert arrived.wait(60)
            yield call

    def request(self, source_uri, sequence_id="clip-1", **extraction):
        options = recipe_pb2.ExtractionOptions(**extraction)
        return extractor_pb2.ExtractRequest(
            source_uri=source_uri, sequence_id=sequence_id, recipe=recipe_pb2.Recipe(name="ffpp", extraction=options)
        )

    def extract(self, source_uri, sequence_id="clip-1", **extraction):
        """Progress messages and the extraction."""
        try:
            messages = list(self.stub.Extract(self.request(source_uri, sequence_id, **extraction), timeout=60))
        except grpc.RpcError as error:
            raise from_rpc_error(error, "extractor") from error
        assert [message.WhichOneof("event") for message in messages[:-1]] == ["progress"] * (len(messages) - 1)
        return [message.progress for message in messages[:-1]], messages[-1].extraction

    def inspect(self, source_uri, **fields):
        try:
            return self.stub.Inspect(extractor_pb2.InspectRequest(source_uri=source_uri, **fields), timeout=60)
        except grpc.RpcError as error:
            raise from_rpc_error(error, "extractor") from error


@pytest.fixture
def extractor(store, tmp_path):
    running = Extractor(store, tmp_path / "scratch")
    yield running
    running.close()


@pytest.fixture
def source_of(store):
    def put(path):
        return put_source(store, path, 24)

    return put


@pytest.fixture
def flat():
    return np.full((192, 192, 3), 120, np.uint8)


def objects(store, uri):
    return sorted(store.list(keys.prefix_of(store.bucket, uri, "extractions") + "/"))


def test_a_video_becomes_a_committed_extraction(extractor, store, source_of, moving_face, video_of, flat):
    source_uri = source_of(video_of([*moving_face(23), flat]))
    progress, extraction = extractor.extract(source_uri)
    assert (extraction.frame_count, extraction.face_count, extraction.reused) == (24, 23, False)
    assert [(row.reason, row.frames) for row in extraction.missing] == [("NO_FACE", 1)]
    assert (extraction.width, extraction.height, extraction.engine) == (192, 192, "dlib")
    assert (extraction.frame_rate.numerator, extraction.frame_rate.denominator) == (30, 1)
    assert {row.stage for row in progress} == {"download", "extract"}
    assert [row.done for row in progress if row.stage == "extract"][-1] == 24

    record = manifest.load(store, keys.prefix_of(store.bucket, extraction.uri, "extractions"))
    assert record.kind == "extraction" and record.inputs == {"source": source_uri}
    assert record.content_digest == extraction.content_digest
    assert record.options == recipes.options(recipes.load("ffpp").extraction)
    assert {"facefoundry", "decoder", "engine"} <= set(record.versions)
    whole = Alignments.from_bytes(manifest.read_part(store, record.part("alignments.safetensors")))
    assert whole.content_digest() == extraction.content_digest and len(whole) == 24
    frames = [
        face_tar.unpack(manifest.read_part(store, record.part(f"faces-{part:05d}.tar")))[0].tolist()
        for part in range(3)
    ]
    assert frames == [list(range(10)), list(range(10, 20)), [20, 21, 22]]
    assert len(archive.unpack(manifest.read_part(store, record.part("samples.tar")))) == 6


def test_the_same_work_asked_twice_is_found(extractor, store, source_of, moving_face, video_of):
    source_uri = source_of(video_of(moving_face(6)))
    _, first = extractor.extract(source_uri)
    before = objects(store, first.uri)
    progress, second = extractor.extract(source_uri, sequence_id="another-name")
    assert second.reused and progress == [] and objects(store, first.uri) == before
    second.reused = False
    assert second == first


def test_other_options_are_other_work_but_equal_ones_said_aloud_are_not(extractor, source_of, moving_face, video_of):
    source_uri = source_of(video_of(moving_face(6)))
    _, first = extractor.extract(source_uri)
    assert extractor.extract(source_uri, detect_every=12)[1].reused
    other = extractor.extract(source_uri, padding=32)[1]
    assert not other.reused and other.uri != first.uri


def test_who_is_chosen_is_part_of_the_digest_and_the_default_rule_is_not(
    extractor, source_of, moving_face, video_of, monkeypatch
):
    source_uri = source_of(video_of(moving_face(3)))
    _, first = extractor.extract(source_uri)
    assert extractor.extract(source_uri, subject="largest")[1].uri == first.uri

    def chosen(**subject):
        request = extractor.request(source_uri)
        request.subject.CopyFrom(extractor_pb2.Subject(**subject))
        return list(extractor.stub.Extract(request, timeout=120))[-1].extraction

    by_rule, by_recipe = chosen(rule="centre"), extractor.extract(source_uri, subject="centre")[1]
    assert by_recipe.reused and by_recipe.uri == by_rule.uri
    assert chosen(rule="largest").uri == extractor.extract(source_uri, identity=True)[1].uri
    by_point = chosen(point=extractor_pb2.FramePoint(x=90, y=90))
    assert len({first.uri, by_rule.uri, by_point.uri, chosen(point=extractor_pb2.FramePoint(x=91, y=90)).uri}) == 4
    assert by_point.face_count == 3
    monkeypatch.setattr(plan, "EMBED_EVERY", 1)
    assert extractor.extract(source_uri)[1].reused and not extractor.extract(source_uri, identity=True)[1].reused


def test_a_folder_of_frames_keeps_its_frame_rate(extractor, source_of, moving_face, folder_of):
    _, extraction = extractor.extract(source_of(folder_of(moving_face(5))))
    assert (extraction.frame_rate.numerator, extraction.frame_rate.denominator) == (24, 1)
    assert extraction.face_count == 5


def test_a_cut_call_made_again_redoes_no_finished_part_and_gives_the_same(
    extractor, store, source_of, moving_face, folder_of, tmp_path
):
    source_uri = source_of(folder_of(moving_face(35)))
    _, unbroken = extractor.extract(source_uri)
    whole = objects(store, unbroken.uri)
    prefix = keys.prefix_of(store.bucket, unbroken.uri, "extractions")
    lost = [f"{prefix}/manifest.json", *(key for key in whole if "-00002-" in key or "-00003-" in key)]
    lost += [
        key for key in whole if key.startswith((f"{prefix}/samples-", f"{prefix}/alignments-0")) and "-00001-" in key
    ]
    store.delete(lost)  # as after a kill between the faces and the alignments of part 1
    kept = set(objects(store, unbroken.uri))
    _, resumed = extractor.extract(source_uri)
    assert not resumed.reused and resumed == unbroken
    assert objects(store, unbroken.uri) == whole and kept < set(whole)


def test_a_finished_part_that_was_damaged_since_is_made_again(extractor, store, source_of, moving_face, folder_of):
    source_uri = source_of(folder_of(moving_face(25)))
    _, unbroken = extractor.extract(source_uri)
    prefix = keys.prefix_of(store.bucket, unbroken.uri, "extractions")
    whole = {key: store.get_bytes(key) for key in objects(store, unbroken.uri) if not key.endswith("manifest.json")}
    damaged = next(key for key in whole if "/faces-00001-" in key)
    store.put_bytes(damaged, whole[damaged][:-2000])
    store.delete([f"{prefix}/manifest.json"])
    _, again = extractor.extract(source_uri)
    assert again == unbroken
    assert {key: store.get_bytes(key) for key in whole} == whole


def test_a_call_cancelled_on_the_way_leaves_parts_that_the_next_call_uses(
    extractor, store, source_of, moving_face, folder_of
):
    source_uri = source_of(folder_of(moving_face(40)))
    with extractor.held_at("faces-00002", source_uri) as call:
        call.cancel()
    wait_until(lambda: extractor.server.slots.in_use == 0)
    prefix = keys.extraction(digest_of(source_uri))
    assert manifest.load_if_committed(store, prefix) is None
    found = set(manifest.find_parts(store, prefix))
    assert {"faces-00000.tar", "alignments-00000.safetensors"} <= found
    assert files_in(extractor.scratch) == []
    _, extraction = extractor.extract(source_uri)
    assert extraction.face_count == 40


def test_a_full_replica_is_busy_and_says_when_to_ask_again(extractor, source_of, moving_face, folder_of):
    source_uri = source_of(folder_of(moving_face(12)))
    with extractor.held_at("faces-00000", source_uri) as call:
        with pytest.raises(Busy) as caught:
            extractor.extract(source_uri)
        call.cancel()
    assert caught.value.retry_after_seconds


def test_draining_ends_a_call_at_its_next_finished_part(store, tmp_path, source_of, moving_face, folder_of):
    running = Extractor(store, tmp_path / "scratch")
    source_uri = source_of(folder_of(moving_face(30)))
    with running.held_at("faces-00000", source_uri) as call:
        stopping = threading.Thread(target=running.server.stop)
        stopping.start()
        assert running.server.draining.wait(60)
    with pytest.raises(grpc.RpcError) as caught:
        list(call)
    stopping.join()
    running.close()
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert from_rpc_error(caught.value, "extractor").reason == "INTERRUPTED"
    found = manifest.find_parts(store, keys.extraction(digest_of(source_uri)))
    assert "alignments-00000.safetensors" in found and "alignments.safetensors" not in found


def test_a_clip_without_a_face_fails_and_commits_nothing(extractor, store, source_of, folder_of, flat):
    source_uri = source_of(folder_of([flat] * 3))
    with pytest.raises(Unusable) as caught:
        extractor.extract(source_uri)
    assert caught.value.reason == "NO_FACE_FOUND"
    assert manifest.load_if_committed(store, keys.extraction(digest_of(source_uri))) is None


def test_what_is_no_video_is_named_by_its_sequence_if_it_has_one_and_its_uri(extractor, source_of, tmp_path):
    path = tmp_path / "notes.mp4"
    path.write_bytes(b"these are notes" * 100)
    uri = source_of(path)
    with pytest.raises(Unusable) as caught:
        extractor.extract(uri, sequence_id="clip-7")
    assert (caught.value.reason, caught.value.resource) == ("NOT_A_VIDEO", uri)
    assert caught.value.message.startswith(f"clip-7.mp4 ({uri}) is not a readable video file")
    with pytest.raises(Unusable) as caught:
        extractor.inspect(uri)
    assert (caught.value.reason, caught.value.resource) == ("NOT_A_VIDEO", uri)
    assert caught.value.message.startswith(f"{uri} is not a readable video file")


def test_a_source_that_is_too_large_is_refused_before_it_is_fetched(store, tmp_path, source_of, moving_face, video_of):
    running = Extractor(store, tmp_path / "scratch", extractor_max_source_bytes=1000)
    try:
        with pytest.raises(Unusable, match="at most 1000") as caught:
            running.extract(source_of(video_of(moving_face(5))))
    finally:
        running.close()
    assert caught.value.reason == "TOO_LARGE"


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("s3://elsewhere/sources/" + "0" * 40, "BUCKET_NOT_ALLOWED"),
        ("s3://elsewhere/models/" + "0" * 40, "URI"),
        ("http://example.org/sources/" + "0" * 40, "URI"),
        ("", "URI"),
    ],
)
def test_uris_of_other_places_are_refused(extractor, uri, reason):
    for call in (extractor.extract, extractor.inspect):
        with pytest.raises(InvalidInput) as caught:
            call(uri)
        assert caught.value.reason == reason and caught.value.violations[0].field == "source_uri"


def test_a_source_that_is_not_there_is_not_found(extractor, store):
    with pytest.raises(NotFound):
        extractor.extract(store.uri(keys.source("0" * 40)))


@pytest.mark.parametrize("sequence_id", ["a/b", "../x", "a_b_c", "", "a b"])
def test_ids_that_consumers_cannot_split_are_refused(extractor, store, sequence_id):
    with pytest.raises(InvalidInput) as caught:
        extractor.extract(store.uri(keys.source("0" * 40)), sequence_id=sequence_id)
    assert caught.value.reason == "SEQUENCE_ID"


def test_a_fake_has_two_ids(extractor, source_of, moving_face, folder_of):
    assert extractor.extract(source_of(folder_of(moving_face(2))), sequence_id="033_097")[1].face_count == 2


def test_an_extraction_of_a_fake_says_that_it_is_one(extractor, store, source_of, moving_face, video_of):
    path = video_of(moving_face(2))
    fake = keys.conversion("a" * 40)
    part = manifest.put_part(store, fake, "raw.mp4", path)
    manifest.commit(store, fake, manifest.Manifest("conversion", {}, {}, (part,), {"synthetic": True}, part.sha256))
    for source_uri, synthetic in ((store.uri(fake), True), (source_of(path), False)):
        made = extractor.extract(source_uri)[1]
        prefix = keys.prefix_of(store.bucket, made.uri, "extractions")
        assert manifest.load(store, prefix).info["synthetic"] is synthetic


def test_a_damaged_source_is_data_loss(extractor, store, source_of, moving_face, video_of):
    source_uri = source_of(video_of(moving_face(3)))
    record = manifest.load(store, keys.prefix_of(store.bucket, source_uri, "sources"))
    data = bytearray(store.get_bytes(record.parts[0].key))
    data[100] ^= 1
    store.put_bytes(record.parts[0].key, bytes(data))
    with pytest.raises(DataLoss, match="SHA-256"):
        extractor.extract(source_uri)


def test_inspect_looks_and_stores_nothing(extractor, store, source_of, moving_face, video_of, flat):
    source_uri = source_of(video_of([*moving_face(4), flat]))
    before = sorted(store.list(""))
    found = extractor.inspect(source_uri, sample_frames=2)
    assert (found.frame_count, found.width, found.height, found.rotation, found.codec) == (5, 192, 192, 0, "h264")
    assert (found.frame_rate.numerator, found.frame_rate.denominator) == (30, 1)
    assert [(sample.frame, sample.faces) for sample in found.samples] == [(0, 1), (4, 0)]
    face = found.samples[0].largest
    assert len(face.picture) == 64 * 64 * 3 and len(face.skin) == 3 and face.HasField("yaw") and face.width > 20
    assert not found.samples[1].HasField("largest") and list(found.cuts) == [4]
    assert sorted(store.list("")) == before


def test_inspect_refuses_more_samples_than_it_takes_and_unknown_engines(extractor, source_of, moving_face, video_of):
    source_uri = source_of(video_of(moving_face(2)))
    with pytest.raises(InvalidInput, match="from 0 to 64"):
        extractor.inspect(source_uri, sample_frames=65)
    with pytest.raises(InvalidInput, match="engine='mtcnn'") as caught:
        extractor.inspect(source_uri, sample_frames=1, engine="mtcnn")
    assert [violation.field for violation in caught.value.violations] == ["engine"]
    with pytest.raises(InvalidInput, match="engine='mtcnn'") as caught:
        extractor.extract(source_uri, engine="mtcnn")
    assert [violation.field for violation in caught.value.violations] == ["recipe.extraction.engine"]


def test_scratch_of_killed_processes_is_swept_at_the_start_and_that_of_living_ones_is_not(store, tmp_path):
    dead, living = tmp_path / "extractor-4194304-x", tmp_path / "extractor-1-x"
    for folder in (dead, living):
        folder.mkdir()
    Extractor(store, tmp_path).close()
    assert not dead.exists() and living.exists()


def digest_of(source_uri):
    recipe = recipes.load("ffpp")
    source = source_uri.rpartition("/")[2]
    made_of = {
        "source": source,
        "options": {name: value for name, value in recipes.options(recipe.extraction).items() if name != "subject"},
        "version": recipe.version,
        "method": ALGORITHM_VERSION,
    }
    return keys.digest_of(json.loads(json.dumps(made_of)))
