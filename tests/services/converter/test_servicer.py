"""The service over real loopback gRPC and a real S3 server."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import grpc
import numpy as np
import pytest

from facefoundry.errors import FaceFoundryError
from facefoundry.media.read import DECODER, open_source
from facefoundry.model.architecture import unpack
from facefoundry.model.weights import content_digest
from facefoundry.process.sandbox import Limits
from facefoundry.process.scratch import Scratch
from facefoundry.rpc.status import from_rpc_error
from facefoundry.settings import read
from facefoundry.storage import keys, manifest
from facefoundry.storage.frames import TarLimits
from facefoundry.storage.info import ConversionInfo
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.store import Store
from facefoundry.v1 import common_pb2, converter_pb2, converter_pb2_grpc, recipe_pb2
from facefoundry.work.pool import SandboxPool
from services.converter import plan
from services.converter.__main__ import build
from services.converter.settings import ConverterSettings
from tests.faults.proxy import Proxy
from tests.processes import sandboxes
from tests.scratch import files_in
from tests.sources import put_source
from tests.waiting import wait_until

Convert = converter_pb2.ConvertRequest


@dataclass
class Service:
    """A running converter and what it can work on."""

    stub: Any
    store: Store
    server: Any
    proxy: Proxy
    scratch: Path
    model_uri: str
    extraction_uri: str
    source_uri: str

    def request(self, **changes: Any) -> Convert:
        fields: dict[str, Any] = {
            "model_uri": self.model_uri,
            "target_extraction_uri": self.extraction_uri,
            "target_side": common_pb2.SIDE_A,
            "target_id": "033",
            "source_id": "097",
            "recipe": quick_recipe(),
        }
        return Convert(**{**fields, **changes})

    def convert(self, **changes: Any) -> tuple[list[common_pb2.Progress], converter_pb2.Conversion]:
        return last(self.stub.Convert(self.request(**changes), timeout=120), "conversion")

    @contextlib.contextmanager
    def held_at_its_first_part(self) -> Iterator[Any]:
        """Start a conversion, whose stream is yielded; during the block the store does not take its first part."""
        with self.proxy.hold("PUT", "/chunk-00000") as arrived:
            stream = self.stub.Convert(self.request(), timeout=120)
            next(stream)
            assert arrived.wait(60)
            yield stream

    def transcode(self) -> tuple[list[common_pb2.Progress], converter_pb2.Transcoding]:
        request = converter_pb2.TranscodeRequest(source_uri=self.source_uri, sequence_id="033", recipe=quick_recipe())
        return last(self.stub.Transcode(request, timeout=60), "transcoding")

    def manifest(self, uri: str) -> Manifest:
        return manifest.load(self.store, keys.prefix_of(self.store.bucket, uri, "conversions"))

    def part(self, uri: str, name: str) -> bytes:
        return manifest.read_part(self.store, self.manifest(uri).part(name))


def quick_recipe() -> recipe_pb2.Recipe:
    recipe = recipe_pb2.Recipe(name="preview")
    recipe.conversion.batch_size = 4
    recipe.conversion.chunk_frames = 8
    return recipe


def last(stream: Any, kind: str) -> tuple[list[common_pb2.Progress], Any]:
    events = list(stream)
    assert [event.WhichOneof("event") for event in events[:-1]] == ["progress"] * (len(events) - 1)
    assert events[-1].WhichOneof("event") == kind
    return [event.progress for event in events[:-1]], getattr(events[-1], kind)


def refused(call: Callable[[], object]) -> tuple[grpc.StatusCode, FaceFoundryError]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), from_rpc_error(caught.value, "converter")


def digest(text: str) -> str:
    return keys.digest_of({"test": text})


def put_inputs(store: Store, clip: Any, weights: Path) -> tuple[str, str, str]:
    """Commit a source, its extraction and a model as the other services do."""
    source = put_source(store, clip.path)
    extraction = put_extraction(store, clip.alignments, source)
    model = keys.model(digest("training"), 100)
    part = manifest.put_part(store, model, "weights.safetensors", weights)
    manifest.commit(store, model, Manifest("model", {}, {}, (part,), {}, content_digest(unpack(weights)[1])))
    return store.uri(model), extraction, source


def put_extraction(store: Store, alignments: Any, source_uri: str) -> str:
    content = alignments.content_digest()
    prefix = keys.extraction(digest(content + alignments.decoder + source_uri))
    part = manifest.put_part(store, prefix, "alignments.safetensors", alignments.to_bytes())
    manifest.commit(store, prefix, Manifest("extraction", {"source": source_uri}, {}, (part,), {}, content))
    return store.uri(prefix)


@pytest.fixture(scope="module")
def pool(scratch: Path) -> Iterator[SandboxPool]:
    """Sandboxes that stay warm from test to test."""
    sandboxes = SandboxPool(Limits(seconds=120, memory_bytes=3 << 30), Scratch("pool", scratch))
    yield sandboxes
    sandboxes.close()


@pytest.fixture
def service(store: Store, clip: Any, weights: Path, scratch: Path, pool: SandboxPool) -> Iterator[Service]:
    settings = read(ConverterSettings, listen="127.0.0.1:0", scratch_dir=scratch, slots=1, drain_seconds=30.0)
    with Proxy(store.settings.endpoint) as proxy:
        server, _ = build(settings, Store(store.settings.model_copy(update={"endpoint": proxy.endpoint})), pool)
        server.start()
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            stub = converter_pb2_grpc.ConverterServiceStub(channel)
            yield Service(stub, store, server, proxy, scratch, *put_inputs(store, clip, weights))
        server.stop()


def test_a_conversion_is_committed_with_its_label_and_its_parts(service: Service, clip: Any, tmp_path: Path) -> None:
    rights = {"target_rights": "5" * 64, "source_rights": "7" * 64}
    progress, conversion = service.convert(**rights)
    assert conversion.uri.startswith("s3://") and "/conversions/" in conversion.uri
    assert (conversion.frame_count, conversion.swapped_count, conversion.reused) == (20, 16, False)
    assert {count.reason: count.frames for count in conversion.unswapped} == {"MASK_TOO_SMALL": 1, "NO_FACE": 3}
    assert {event.stage for event in progress} == {"download", "convert", "encode"}
    record = service.manifest(conversion.uri)
    assert record.info["synthetic"] is True
    assert (record.info["target_id"], record.info["source_id"]) == ("033", "097")
    assert (record.info["rights"], record.info["source_rights"]) == tuple(rights.values())
    assert record.inputs["model"] == service.model_uri
    options = record.options["conversion"]
    assert isinstance(options, dict) and options["mask"] == "facehullandrect"
    assert record.info_as(ConversionInfo).quality["changed_outside"] == 0
    assert record.info["decoder"] == DECODER
    assert {part.name for part in record.parts} == {
        *(f"chunk-{index:05d}.tar" for index in range(3)),
        *(f"{name}.mp4" for name in ("raw", "c23", "c40", "masks", "masks_blend", "masks_changed")),
        "labels.json",
        "samples.tar",
    }
    assert all(part.size > 0 for part in record.parts)
    labels = json.loads(service.part(conversion.uri, "labels.json"))
    assert labels["synthetic"] is True
    assert {name: labels[name] for name in rights} == rights
    assert sum(row["swapped"] for row in labels["frames"]) == 16
    (tmp_path / "raw.mp4").write_bytes(service.part(conversion.uri, "raw.mp4"))
    with open_source(tmp_path / "raw.mp4") as source:
        changed = [bool((frame != target).any()) for frame, target in zip(source, clip.frames, strict=True)]
    assert changed == [row["swapped"] for row in labels["frames"]]
    assert not files_in(service.scratch)


def test_the_same_work_asked_twice_is_found(service: Service) -> None:
    _, first = service.convert()
    objects = list(service.store.list("conversions/"))
    progress, again = service.convert()
    assert again.reused and not progress
    assert (again.uri, again.content_digest, again.swapped_count) == (first.uri, first.content_digest, 16)
    assert list(service.store.list("conversions/")) == objects


def test_a_conversion_stores_an_object_for_each_chunk_and_video_and_none_for_a_frame(service: Service) -> None:
    service.convert()
    names = [key.rsplit("/", 1)[1].split("-")[0].split(".")[0] for key in service.store.list("conversions/")]
    chunks = names.count("chunk")
    assert chunks == 3  # 20 frames, 8 in a chunk
    others = ["c23", "c40", "labels", "manifest", "masks", "masks_blend", "masks_changed", "raw", "samples"]
    assert sorted(name for name in names if name != "chunk") == others


@pytest.mark.parametrize("work", ["convert", "transcode"])
def test_results_of_another_algorithm_version_are_not_reused(
    service: Service, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    _, first = getattr(service, work)()
    monkeypatch.setattr(plan, "ALGORITHM_VERSION", 1)
    _, older = getattr(service, work)()
    assert not older.reused and older.uri != first.uri


def test_a_cut_conversion_goes_on_with_the_finished_chunks(service: Service) -> None:
    _, unbroken = service.convert()
    record = service.manifest(unbroken.uri)
    chunks = {part.name: part for part in record.parts if part.name.startswith("chunk-")}
    kept = {chunks["chunk-00000.tar"].key, chunks["chunk-00001.tar"].key}
    prefix = keys.prefix_of(service.store.bucket, unbroken.uri, "conversions")
    service.store.delete([key for key in service.store.list(prefix + "/") if key not in kept])
    _, resumed = service.convert()
    assert not resumed.reused
    assert resumed.content_digest == unbroken.content_digest
    assert {p.name: p.sha256 for p in service.manifest(resumed.uri).parts} == {p.name: p.sha256 for p in record.parts}


def test_a_damaged_chunk_of_a_cut_conversion_is_made_again(service: Service) -> None:
    _, unbroken = service.convert()
    record = service.manifest(unbroken.uri)
    prefix = keys.prefix_of(service.store.bucket, unbroken.uri, "conversions")
    key = record.part("chunk-00001.tar").key
    service.store.delete([f"{prefix}/manifest.json"])
    service.store.put_bytes(key, b"something else", "application/x-tar")
    _, resumed = service.convert()
    assert resumed.content_digest == unbroken.content_digest
    assert service.part(resumed.uri, "chunk-00001.tar")


def test_both_directions_and_the_control_are_different_conversions(service: Service) -> None:
    _, a_b = service.convert()
    _, b_a = service.convert(target_side=common_pb2.SIDE_B)
    _, control = service.convert(control=True)
    assert len({a_b.uri, b_a.uri, control.uri}) == 3
    assert a_b.content_digest != control.content_digest
    assert [service.manifest(made.uri).info["decoder_side"] for made in (a_b, b_a, control)] == ["b", "a", "a"]
    videos = [part.name for part in service.manifest(control.uri).parts if part.name.endswith(".mp4")]
    assert videos == ["raw.mp4"]
    assert [service.manifest(made.uri).info["control"] for made in (a_b, b_a, control)] == [False, False, True]


def test_a_target_that_was_the_models_other_side_is_refused(service: Service) -> None:
    """FF++ converted both directions of a pair from A's frames."""
    extraction = manifest.load(
        service.store, keys.prefix_of(service.store.bucket, service.extraction_uri, "extractions")
    )
    trained = keys.model(digest("trained"), 100)
    part = manifest.put_part(service.store, trained, "weights.safetensors", b"never read")
    inputs = {"content_a": extraction.content_digest, "content_b": "0" * 64}
    manifest.commit(service.store, trained, Manifest("model", inputs, {}, (part,), {}, part.sha256))
    uri = service.store.uri(trained)
    code, error = refused(lambda: service.convert(model_uri=uri, target_side=common_pb2.SIDE_B))
    assert (code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "WRONG_SIDE")


def test_a_real_sequence_is_encoded_like_the_fakes(service: Service, clip: Any, tmp_path: Path) -> None:
    _, transcoding = service.transcode()
    assert (transcoding.frame_count, transcoding.reused) == (20, False)
    record = service.manifest(transcoding.uri)
    assert {part.name for part in record.parts} == {"raw.mp4", "c23.mp4", "c40.mp4"}
    assert record.info["synthetic"] is False
    (tmp_path / "raw.mp4").write_bytes(service.part(transcoding.uri, "raw.mp4"))
    with open_source(tmp_path / "raw.mp4") as source:
        assert source.info.frame_rate == (30000, 1001)
        for frame, expected in zip(source, clip.frames, strict=True):
            np.testing.assert_array_equal(frame, expected)
    _, again = service.transcode()
    assert again.reused and again.content_digest == transcoding.content_digest


def test_frames_in_tars_are_a_source_too(service: Service, clip: Any, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, frame in enumerate(clip.frames):
        cv2.imwrite(str(folder / f"{number:04d}.png"), frame)
    source = put_source(service.store, folder, 24, TarLimits(frames=12))
    extraction = put_extraction(service.store, clip.alignments, source)
    _, conversion = service.convert(target_extraction_uri=extraction)
    assert conversion.swapped_count == 16
    assert service.manifest(conversion.uri).info["frame_rate"] == "24/1"


@pytest.mark.parametrize(
    ("changes", "code", "reason"),
    [
        ({"target_id": "a_b"}, grpc.StatusCode.INVALID_ARGUMENT, "SEQUENCE_ID"),
        ({"target_side": common_pb2.SIDE_UNSPECIFIED}, grpc.StatusCode.INVALID_ARGUMENT, "SIDE"),
        ({"model_uri": "s3://other/models/1"}, grpc.StatusCode.INVALID_ARGUMENT, "URI"),
        ({"recipe": recipe_pb2.Recipe(name="nothing")}, grpc.StatusCode.INVALID_ARGUMENT, "RECIPE_UNKNOWN"),
    ],
)
def test_wrong_requests_are_refused_by_name(
    service: Service, changes: dict[str, Any], code: grpc.StatusCode, reason: str
) -> None:
    received, error = refused(lambda: service.convert(**changes))
    assert (received, error.reason) == (code, reason)


def test_a_model_that_is_not_there_is_named(service: Service) -> None:
    uri = service.store.uri(keys.model(digest("nothing"), 7))
    code, error = refused(lambda: service.convert(model_uri=uri))
    assert code == grpc.StatusCode.NOT_FOUND and uri in error.message


def test_a_source_that_decodes_to_other_pixels_is_refused_and_names_both_builds(service: Service, clip: Any) -> None:
    digests = clip.alignments.frame_digests.copy()
    digests[9] ^= np.uint64(1)
    foreign = replace(clip.alignments, frame_digests=digests, decoder="libavcodec of another machine")
    uri = put_extraction(service.store, foreign, service.source_uri)
    code, error = refused(lambda: service.convert(target_extraction_uri=uri))
    assert (code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DECODER_MISMATCH")
    assert DECODER in error.message and "libavcodec of another machine" in error.message


def test_a_full_converter_refuses_with_a_time_to_come_back(service: Service) -> None:
    with service.server.slots.take():
        code, error = refused(service.convert)
    assert (code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "NO_FREE_SLOT")
    assert error.retry_after_seconds is not None and error.retry_after_seconds > 0
    assert service.convert()[1].swapped_count == 16


def test_cancelling_the_call_stops_the_child_and_frees_the_slot(service: Service) -> None:
    with service.held_at_its_first_part() as stream:
        before = sandboxes()
        stream.cancel()
        wait_until(lambda: before - sandboxes())
    wait_until(lambda: service.server.slots.in_use == 0)
    assert not files_in(service.scratch)
    _, conversion = service.convert()
    assert conversion.swapped_count == 16 and not conversion.reused


def test_a_draining_converter_ends_after_a_chunk_and_the_work_goes_on_elsewhere(
    service: Service, tmp_path: Path, pool: SandboxPool
) -> None:
    with service.held_at_its_first_part() as stream:
        stopping = threading.Thread(target=service.server.stop)
        stopping.start()
        assert service.server.draining.wait(60)
    code, error = refused(lambda: list(stream))
    stopping.join()
    assert (code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "INTERRUPTED")
    found = manifest.find_parts(service.store, next(iter(service.store.list("conversions/"))).rpartition("/")[0])
    assert set(found) == {"chunk-00000.tar"}
    settings = read(ConverterSettings, listen="127.0.0.1:0", scratch_dir=tmp_path / "other")
    server, _ = build(settings, service.store, pool)
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub = converter_pb2_grpc.ConverterServiceStub(channel)
        _, conversion = last(stub.Convert(service.request(), timeout=60), "conversion")
    server.stop()
    assert conversion.swapped_count == 16
    assert service.manifest(conversion.uri).part("chunk-00000.tar").key == found["chunk-00000.tar"].key


def test_the_service_runs_as_a_module(store: Store, tmp_path: Path) -> None:
    access = store.settings
    environment = {
        **os.environ,
        "FACEFOUNDRY_LISTEN": "127.0.0.1:0",
        "FACEFOUNDRY_STORE_ENDPOINT": access.endpoint,
        "FACEFOUNDRY_STORE_ACCESS_KEY": access.access_key.get_secret_value(),
        "FACEFOUNDRY_STORE_SECRET_KEY": access.secret_key.get_secret_value(),
        "FACEFOUNDRY_SCRATCH_DIR": str(tmp_path),
    }
    process = subprocess.Popen([sys.executable, "-m", "services.converter"], stderr=subprocess.PIPE, env=environment)
    try:
        assert process.stderr is not None
        line = json.loads(process.stderr.readline())
        assert (line["event"], line["service"]) == ("serving", "converter")
        with grpc.insecure_channel(f"127.0.0.1:{line['port']}") as channel:
            stub = converter_pb2_grpc.ConverterServiceStub(channel)
            code_, _ = refused(lambda: list(stub.Convert(Convert(), timeout=10)))
        assert code_ == grpc.StatusCode.INVALID_ARGUMENT
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
