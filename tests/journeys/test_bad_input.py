"""One row for every kind of bad or odd clip: a real extractor and converter over gRPC report what is wrong with it by
status, reason and file, leave nothing half-written, and go on with the next."""

from __future__ import annotations

import av
import grpc
import numpy as np
import psutil
import pytest
from pydantic import SecretStr

from facefoundry.dataset.sources import upload
from facefoundry.errors import FaceFoundryError
from facefoundry.faces.alignments import Alignments
from facefoundry.storage import keys, manifest
from facefoundry.storage.store import Store
from tests.journeys.extractor_and_converter import Services, code_of
from tests.journeys.odd_clips import ACCEPTED, FACES, REFUSED, pictures, two_faces, video, write


@pytest.fixture(scope="module")
def services(new_store, tmp_path_factory):
    with Services(new_store(), tmp_path_factory.mktemp("services")) as running:
        yield running


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.name)
def test_a_bad_clip_is_refused(services, tmp_path, row):
    before = services.committed()
    path = row.make(tmp_path)
    if row.at_upload:
        read_before = psutil.Process().io_counters().read_chars
        with pytest.raises(FaceFoundryError) as caught:
            upload(path)  # to no service: none is asked
        assert caught.value.reason == row.reason and row.names in caught.value.message
        assert str(path) in caught.value.message
        assert psutil.Process().io_counters().read_chars - read_before < 1 << 20, "refused before it is read"
        assert services.committed() == before
        return
    uri = services.upload(path)
    visible = services.committed()
    for call in (services.inspect, services.extract, services.transcode):
        with pytest.raises(FaceFoundryError) as caught:
            call(uri)
        assert (code_of(caught.value), caught.value.reason) == (grpc.StatusCode.FAILED_PRECONDITION, row.reason)
        assert uri in caught.value.message and uri == caught.value.resource
        if call == services.inspect:
            assert "source." not in caught.value.message
        else:
            assert row.names in caught.value.message
        assert str(tmp_path) not in caught.value.message and str(services.scratch) not in caught.value.message
    assert services.committed() == visible
    services.leave_nothing()


@pytest.mark.parametrize("row", ACCEPTED, ids=lambda row: row.name)
def test_an_odd_clip_is_accepted(services, tmp_path, row):
    uri = services.upload(row.make(tmp_path))
    seen = services.inspect(uri)
    assert (seen.frame_count, (seen.width, seen.height)) == (row.frames, row.size)
    assert (seen.frame_rate.numerator, seen.frame_rate.denominator) == row.rate
    if row.faces:
        extraction = services.extract(uri)
        assert (extraction.frame_count, extraction.face_count) == (row.frames, row.faces)
        missing = row.frames - row.faces
        assert [(row.reason, row.frames) for row in extraction.missing] == ([("NO_FACE", missing)] if missing else [])
    else:
        visible = services.committed()
        with pytest.raises(FaceFoundryError) as caught:
            services.extract(uri)
        assert (code_of(caught.value), caught.value.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NO_FACE_FOUND")
        assert "clip-1" in caught.value.message
        assert services.committed() == visible
    assert services.transcode(uri).frame_count == row.frames
    services.leave_nothing()


def test_of_two_faces_the_larger_one_is_the_subject(services, tmp_path):
    extraction = services.extract(services.upload(two_faces(tmp_path)))
    record = manifest.load(services.store, keys.prefix_of(services.store.bucket, extraction.uri, "extractions"))
    known = Alignments.from_bytes(manifest.read_part(services.store, record.part("alignments.safetensors")))
    assert (known.boxes[:, 0] > 120).all()


def test_interlaced_frames_are_taken_as_they_are(tmp_path):
    path = video(options={"x264-params": "tff=1:interlaced=1"})(tmp_path)
    with av.open(str(path)) as container:
        assert all(frame.interlaced_frame for frame in container.decode(video=0))


def test_a_clip_under_two_names_is_one_source_and_in_two_containers_one_extraction(services, tmp_path):
    first = write(tmp_path / "a.mkv", FACES, codec="ffv1", pixels="bgr0")
    (tmp_path / "b.mkv").write_bytes(first.read_bytes())
    assert services.upload(first) == services.upload(tmp_path / "b.mkv")
    other = write(tmp_path / "c.avi", FACES, codec="ffv1", pixels="bgr0")
    in_mkv, in_avi = services.extract(services.upload(first)), services.extract(services.upload(other))
    assert in_mkv.uri != in_avi.uri and in_mkv.content_digest == in_avi.content_digest


@pytest.mark.parametrize(
    ("limits", "reason"),
    [({"sandbox_memory_bytes": 256 << 20}, "MEDIA_MEMORY"), ({"sandbox_seconds": 0.01}, "MEDIA_TIMEOUT")],
)
def test_a_clip_over_the_limits_costs_its_sandbox_and_nothing_else(store, tmp_path, limits, reason):
    with Services(store, tmp_path, **limits) as running:
        bomb = running.upload(pictures(np.zeros((4320, 8192, 3), np.uint8))(tmp_path))
        with pytest.raises(FaceFoundryError) as caught:
            running.extract(bomb)
        assert (code_of(caught.value), caught.value.reason) == (grpc.StatusCode.FAILED_PRECONDITION, reason)
        assert caught.value.message.startswith(f"clip-1 ({bomb}): ") and caught.value.resource == bomb
        running.leave_nothing()
        assert not [key for key in running.committed() if key.startswith("extractions/")]
        if reason == "MEDIA_MEMORY":
            assert running.extract(running.upload(video(frames=FACES[:1])(tmp_path))).face_count == 1


@pytest.mark.parametrize("call", ["inspect", "extract", "transcode", "convert"])
@pytest.mark.parametrize(
    ("change", "uri", "code", "reason"),
    [
        ({}, "s3://elsewhere/sources/" + "0" * 40, grpc.StatusCode.INVALID_ARGUMENT, "BUCKET_NOT_ALLOWED"),
        ({}, "", grpc.StatusCode.INVALID_ARGUMENT, "URI"),
        ({}, "{ours}", grpc.StatusCode.NOT_FOUND, "NOT_COMMITTED"),
        ({"secret_key": SecretStr("wrong")}, "{ours}", grpc.StatusCode.PERMISSION_DENIED, "STORE_ACCESS_DENIED"),
        ({"bucket": "there-is-none"}, "{ours}", grpc.StatusCode.NOT_FOUND, "NO_SUCH_BUCKET"),
    ],
    ids=["a bucket of others", "no address", "nothing there", "a wrong key", "no bucket"],
)
def test_a_wrong_address_or_store_is_an_error_of_its_own(store, tmp_path, call, change, uri, code, reason):
    wrong = Store(store.settings.model_copy(update=change))
    with Services(wrong, tmp_path) as running, pytest.raises(FaceFoundryError) as caught:
        getattr(running, call)(uri.replace("{ours}", wrong.uri(keys.source("0" * 40))))
    assert (code_of(caught.value), caught.value.reason) == (code, reason)
