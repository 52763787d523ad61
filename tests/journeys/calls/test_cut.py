"""The SDK opens a call again that is cut at any message; it ends with the content of an unbroken one."""

from __future__ import annotations

import threading

import grpc
import pytest

from facefoundry.errors import Cancelled
from facefoundry.process.sandbox import Limits
from facefoundry.process.scratch import Scratch
from facefoundry.settings import read
from facefoundry.v1 import (
    common_pb2,
    converter_pb2,
    info_pb2,
    info_pb2_grpc,
)
from facefoundry.work.pool import SandboxPool
from services.converter.__main__ import build as build_converter
from services.converter.settings import ConverterSettings
from services.extractor.__main__ import build as build_extractor
from services.extractor.settings import ExtractorSettings
from tests import tiny
from tests.processes import sandboxes
from tests.scratch import files_in
from tests.waiting import wait_until

FRAMES = 4
PART = 2
RECIPE = tiny.quick(chunk_frames=PART)


@pytest.fixture(scope="module")
def extractor(store, tmp_path_factory):
    """Address and scratch folder of an extractor with small parts."""
    scratch = tmp_path_factory.mktemp("extractor")
    settings = read(ExtractorSettings, listen="127.0.0.1:0", scratch_dir=scratch, slots=1)
    server, runner = build_extractor(settings, store, part_frames=PART)
    yield f"127.0.0.1:{server.start()}", scratch
    server.stop()
    runner.close()


@pytest.fixture(scope="module")
def converter(store, tmp_path_factory):
    """Address and scratch folder of a converter."""
    scratch = tmp_path_factory.mktemp("converter")
    settings = read(ConverterSettings, listen="127.0.0.1:0", scratch_dir=scratch, slots=1)
    pool = SandboxPool(Limits(seconds=300, memory_bytes=3 << 30), Scratch("converter", scratch))
    server, runner = build_converter(settings, store, pool)
    yield f"127.0.0.1:{server.start()}", scratch
    server.stop()
    runner.close()


@pytest.fixture(scope="module")
def source_uri(upload_face):
    return upload_face(FRAMES)


def conversion_request(model_uri, extraction, target="033"):
    return converter_pb2.ConvertRequest(
        model_uri=model_uri,
        target_extraction_uri=extraction.uri,
        target_side=common_pb2.SIDE_A,
        target_id=target,
        source_id="097",
        recipe=RECIPE,
    )


def cut_everywhere(store, relay, call):
    """Cut a call after 0, 1, 2, ... messages until it ends before the cut; each time it starts from nothing.

    Returns:
        The number of messages at which it was cut.
    """
    unbroken = call()
    prefix = unbroken.uri.split("/", 3)[3]
    content = sorted(store.list(prefix + "/"))
    assert content
    relay.cut = True
    messages = -1
    while relay.cut:
        messages += 1
        store.delete(content)
        relay.cut_after(messages)
        result = call()
        result.reused = False  # it may have been committed before the cut
        assert result == unbroken
        assert sorted(store.list(prefix + "/")) == content, f"cut after {messages} messages"
    return messages


def test_an_extraction_cut_at_any_message_ends_with_equal_content(store, extractor, relay_to, client_of, source_uri):
    relay = relay_to(extractor[0])
    client = client_of(relay.address)
    cuts = cut_everywhere(store, relay, lambda: client.extract(source_uri, "033", RECIPE))
    assert cuts > FRAMES // PART


def test_a_transcoding_cut_at_any_message_ends_with_equal_content(store, converter, relay_to, client_of, source_uri):
    relay = relay_to(converter[0])
    client = client_of(relay.address)
    assert cut_everywhere(store, relay, lambda: client.transcode(source_uri, "033", RECIPE)) > 2


@pytest.mark.timeout(900)
def test_a_conversion_cut_at_any_message_ends_with_equal_content(
    store, extractor, converter, relay_to, client_of, source_uri, model_uri
):
    extraction = client_of(extractor[0]).extract(source_uri, "033", RECIPE)
    relay = relay_to(converter[0])
    client = client_of(relay.address)
    request = conversion_request(model_uri, extraction)
    assert cut_everywhere(store, relay, lambda: client.convert(request)) > 2


def cancel_in(stage, service, client, call):
    """Cancel a call once its work has reached a stage; all that it held is released."""
    address, scratch = service
    reached = threading.Event()

    def seen(progress):
        if progress.stage == stage:
            reached.set()

    def work():
        with pytest.raises(Cancelled):
            call(seen)

    working = threading.Thread(target=work)
    with grpc.insecure_channel(address) as channel:
        info = info_pb2_grpc.InfoServiceStub(channel)
        working.start()
        assert reached.wait(120)
        before = sandboxes()
        assert info.GetInfo(info_pb2.GetInfoRequest()).slots_in_use == 1
        client.stop()
        wait_until(lambda: info.GetInfo(info_pb2.GetInfoRequest()).slots_in_use == 0)
    working.join(20)
    assert not working.is_alive()
    wait_until(lambda: before - sandboxes(), failure=lambda: "the child that worked for the call lives on")
    wait_until(lambda: not files_in(scratch), failure=lambda: files_in(scratch))


def test_a_cancelled_extraction_frees_its_slot_kills_its_sandbox_and_leaves_no_file(extractor, client_of, upload_face):
    source, client = upload_face(90), client_of(extractor[0])
    cancel_in("extract", extractor, client, lambda seen: client.extract(source, "033", RECIPE, seen))


def test_a_cancelled_conversion_frees_its_slot_kills_its_sandbox_and_leaves_no_file(
    extractor, converter, client_of, upload_face, model_uri
):
    extraction = client_of(extractor[0]).extract(upload_face(91), "034", RECIPE)
    request, client = conversion_request(model_uri, extraction, "034"), client_of(converter[0])
    cancel_in("convert", converter, client, lambda seen: client.convert(request, seen))
