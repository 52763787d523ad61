"""A caller that is gone frees its slot in every stage, also while the store does not answer."""

from __future__ import annotations

import threading
from pathlib import Path

import grpc
import pytest

from facefoundry.process.sandbox import Limits
from facefoundry.process.scratch import Scratch
from facefoundry.storage.store import Store
from facefoundry.v1 import converter_pb2, converter_pb2_grpc, extractor_pb2, recipe_pb2
from facefoundry.work.pool import SandboxPool
from services.converter.__main__ import build
from services.converter.settings import ConverterSettings
from tests.clips import drifting_face, encode
from tests.faults.proxy import Proxy
from tests.scratch import files_in
from tests.services.extractor.importing import Extractor
from tests.sources import put_source
from tests.waiting import wait_until

FRAMES = 8
SECONDS = 30.0
"""Far less than the store's silence and the sandbox's time, and far more than a busy machine needs."""


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="module")
def pool(scratch):
    sandboxes = SandboxPool(Limits(seconds=600, memory_bytes=2 << 30), Scratch("pool", scratch))
    yield sandboxes
    sandboxes.close()


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    return encode(tmp_path_factory.mktemp("video") / "clip.mp4", drifting_face(FRAMES), 30)


@pytest.fixture
def held(store):
    """A store behind a proxy that may hold requests, and the proxy."""
    with Proxy(store.settings.endpoint) as proxy:
        changes = {"endpoint": proxy.endpoint, "timeout_seconds": 600.0}
        yield Store(store.settings.model_copy(update=changes)), proxy


def leave(call, proxy, server, kind, text):
    """Leave a call when its service waits for the answer to a request, and expect its slot to be free all the same."""
    with proxy.hold(kind, text) as arrived:
        reading = threading.Thread(target=lambda: _exhaust(call), daemon=True)
        reading.start()
        assert arrived.wait(60)
        assert server.slots.in_use == 1
        call.cancel()
        wait_until(lambda: server.slots.in_use == 0, SECONDS)
    reading.join()


def _exhaust(call):
    try:
        list(call)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.CANCELLED


@pytest.mark.parametrize(
    ("kind", "text"),
    [("GET", "incoming/"), ("PUT", "sources/"), ("PUT", "/manifest.json")],
    ids=["download", "store", "commit"],
)
def test_a_gone_caller_frees_its_slot_in_every_stage_of_an_import(held, scratch, pool, video, kind, text):
    store, proxy = held
    extractor = Extractor(store, scratch, pool, extractor_slots=1)
    store.put_bytes("incoming/a.mp4", video.read_bytes())
    call = extractor.stub.ImportSource(extractor_pb2.ImportSourceRequest(object_uri=store.uri("incoming/a.mp4")))
    leave(call, proxy, extractor.server, kind, text)
    assert files_in(scratch) == []
    extractor.close()


@pytest.mark.parametrize(
    ("kind", "text"),
    [("GET", "/source-"), ("LIST", "conversions/"), ("PUT", "/raw-"), ("PUT", "/manifest.json")],
    ids=["download", "finished parts", "store", "commit"],
)
def test_a_gone_caller_frees_its_slot_in_every_stage_of_work_that_is_stored(held, scratch, pool, video, kind, text):
    store, proxy = held
    settings = ConverterSettings(listen="127.0.0.1:0", scratch_dir=scratch, converter_slots=1)
    server, _ = build(settings, store, pool)
    source = put_source(store, video)
    with grpc.insecure_channel(f"127.0.0.1:{server.start()}") as channel:
        recipe = recipe_pb2.Recipe(name="preview")
        request = converter_pb2.TranscodeRequest(source_uri=source, sequence_id="033", recipe=recipe)
        call = converter_pb2_grpc.ConverterServiceStub(channel).Transcode(request)
        leave(call, proxy, server, kind, text)
    assert files_in(scratch) == []
    server.stop()
