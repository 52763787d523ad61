"""The server with real sockets: health, reflection, info, metrics, admission."""

import json
import threading
import time
import urllib.request

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from facefoundry import __version__, recipes
from facefoundry.errors import Busy, InvalidInput
from facefoundry.local.process import free_ports
from facefoundry.rpc.status import from_rpc_error
from facefoundry.storage.store import Store
from facefoundry.v1 import extractor_pb2, info_pb2, info_pb2_grpc
from tests.health import health_of
from tests.tiny import extract_request, inspect_request
from tests.waiting import wait_until

FULL_NAME = "facefoundry.v1.ExtractorService"
SERVING = health_pb2.HealthCheckResponse.SERVING


# Health, reflection, info, metrics


def test_health_is_serving_for_the_server_and_each_of_its_services_and_unknown_for_others(running):
    with grpc.insecure_channel(running.address) as channel:
        for name in ("", FULL_NAME, "facefoundry.v1.InfoService"):
            assert health_of(channel, name) == SERVING
        with pytest.raises(grpc.RpcError) as caught:
            health_of(channel, "facefoundry.v1.TrainerService")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_reflection_lists_our_services_with_their_methods(running):
    with grpc.insecure_channel(running.address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        listed = set(database.get_services())
        assert {FULL_NAME, "facefoundry.v1.InfoService", "grpc.health.v1.Health"} <= listed
        described = database.FindFileContainingSymbol(FULL_NAME)
    methods = [method.name for method in described.service[0].method]
    assert methods == ["CreateUpload", "ImportSource", "Inspect", "Extract", "ListFiles"]


@pytest.mark.parametrize("version", ["grpc.reflection.v1", "grpc.reflection.v1alpha"])
def test_both_versions_of_reflection_describe_our_fields_and_themselves_with_json_names(running, version):
    requests = [
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=name)
        for name in ("facefoundry.v1.FrameRange", f"{version}.ServerReflection", "facefoundry.v1.Extraction")
    ]
    with grpc.insecure_channel(running.address) as channel:
        reflect = channel.stream_stream(
            f"/{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        answers = list(reflect(iter([*requests, reflection_pb2.ServerReflectionRequest(list_services="")])))
    assert version + ".ServerReflection" in {service.name for service in answers.pop().list_services_response.service}
    files = {
        file.name: file
        for answer in answers
        for file in map(
            FileDescriptorProto.FromString,
            answer.file_descriptor_response.file_descriptor_proto,
        )
    }
    assert any(file.package == version and file.service for file in files.values())
    extraction = {message.name: message for message in files["facefoundry/v1/extractor.proto"].message_type}[
        "Extraction"
    ]
    names = {field.name: field.json_name for field in extraction.field}
    assert (names["frame_count"], names["uri"]) == ("frameCount", "uri")


def test_reflection_can_be_turned_off(serve):
    with grpc.insecure_channel(serve(reflection=False).address) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            list(ProtoReflectionDescriptorDatabase(channel).get_services())
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert health_of(channel) == SERVING


def test_info_tells_version_recipes_engines_slots_and_that_the_store_answers(serve, store):
    running = serve(store, slots=3)
    with grpc.insecure_channel(running.address) as channel:
        info = info_pb2_grpc.InfoServiceStub(channel).GetInfo(info_pb2.GetInfoRequest())
    assert (info.service, info.version, list(info.engines), info.slots, info.slots_in_use) == (
        "extractor",
        __version__,
        ["dlib"],
        3,
        0,
    )
    assert [recipe.name for recipe in info.recipes] == recipes.names()
    assert info.store.reachable
    assert info.store.conditional_writes
    assert (info.store.endpoint, list(info.store.buckets)) == (store.settings.endpoint, [store.bucket])
    assert store.settings.secret_key.get_secret_value().encode() not in info.SerializeToString()


def test_a_server_starts_without_its_store_and_info_says_what_is_wrong(running):
    with grpc.insecure_channel(running.address) as channel:
        info = info_pb2_grpc.InfoServiceStub(channel).GetInfo(info_pb2.GetInfoRequest())
        assert health_of(channel) == SERVING
    assert not info.store.reachable
    assert "127.0.0.1:1 does not answer" in info.store.detail


def test_info_says_that_the_bucket_is_missing(serve, store_settings):
    with grpc.insecure_channel(serve(Store(store_settings)).address) as channel:
        info = info_pb2_grpc.InfoServiceStub(channel).GetInfo(info_pb2.GetInfoRequest())
    assert not info.store.reachable
    assert store_settings.bucket in info.store.detail


def test_the_metrics_page_counts_calls_by_code_and_reason(serve):
    (port,) = free_ports(1)
    running = serve(metrics_listen=f"127.0.0.1:{port}")
    running.servicer.error = InvalidInput("No.", reason="COUNTED_HERE")
    with grpc.insecure_channel(running.address) as channel, pytest.raises(grpc.RpcError):
        running.stub(channel).Inspect(inspect_request())
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        page = answer.read().decode()
    (line,) = [
        line for line in page.splitlines() if line.startswith("facefoundry_calls_total") and "COUNTED_HERE" in line
    ]
    assert 'code="INVALID_ARGUMENT"' in line
    assert f'method="/{FULL_NAME}/Inspect"' in line
    assert line.endswith(" 1.0")


# Transport


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_a_request_over_the_limit_is_refused_with_the_limit(serve, compression):
    running = serve(max_message_bytes=2048)
    running.servicer.go_on.set()
    uris = (f"s3://{'b' * (size - 54)}/sources/{0:040x}" for size in (2045, 2046))
    largest, larger = (extractor_pb2.InspectRequest(source_uri=uri) for uri in uris)
    with grpc.insecure_channel(running.address) as channel:
        stub = running.stub(channel)
        assert largest.ByteSize() == 2048
        assert stub.Inspect(largest, compression=compression) == running.servicer.answer
        stream = extractor_pb2.ExtractRequest(source_uri=larger.source_uri)
        for call in (
            lambda: stub.Inspect(larger, compression=compression),
            lambda: list(stub.Extract(stream, compression=compression)),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                call()
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            refused = from_rpc_error(caught.value, running.address)
            assert (type(refused), refused.reason) == (InvalidInput, "MESSAGE_TOO_LARGE")
            assert refused.metadata == {"max_bytes": "2048", "received_bytes": "2049"}
            assert "at most 2048 bytes. Received 2049 bytes." in refused.message


def test_a_request_that_grpc_itself_refuses_is_no_full_replica_to_the_client(running):
    with grpc.insecure_channel(running.address) as channel, pytest.raises(grpc.RpcError) as caught:
        running.stub(channel).Inspect(extractor_pb2.InspectRequest(source_uri="x" * (17 << 20)))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    refused = from_rpc_error(caught.value, running.address)
    assert (type(refused), refused.reason) == (InvalidInput, "MESSAGE_TOO_LARGE")


def test_the_retries_of_a_channel_wait_as_long_as_the_full_replica_says(running):
    running.servicer.errors = iter([Busy("Full.", retry_after_seconds=0.3)])
    policy = {
        "name": [{}],
        "retryPolicy": {
            "maxAttempts": 2,
            "initialBackoff": "100s",
            "maxBackoff": "100s",
            "backoffMultiplier": 1,
            "retryableStatusCodes": ["RESOURCE_EXHAUSTED"],
        },
    }
    options = [("grpc.service_config", json.dumps({"methodConfig": [policy]}))]
    with grpc.insecure_channel(running.address, options) as channel:
        start = time.monotonic()
        assert running.stub(channel).Inspect(inspect_request(), timeout=30) == running.servicer.answer
    assert 0.3 <= time.monotonic() - start < 30


@pytest.mark.full
def test_keepalive_pings_every_10_seconds_keep_an_idle_connection(serve):
    running = serve(max_connection_age_seconds=600.0)
    options = [
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    closed = threading.Event()
    with grpc.insecure_channel(running.address, options) as channel:
        assert health_of(channel) == SERVING
        ready = grpc.ChannelConnectivity.READY
        channel.subscribe(lambda state: closed.set() if state is not ready else None)
        assert not closed.wait(45)  # a server that counts these pings as abuse closes the connection after 30 s


# Admission


def test_calls_beyond_the_slots_are_refused_with_a_time_to_come_back_and_the_server_stays_healthy(serve):
    running = serve(slots=2)
    with grpc.insecure_channel(running.address) as channel:
        stub = running.stub(channel)
        streams = [stub.Extract(extract_request()) for _ in range(2)]
        for stream in streams:
            next(stream)
        refused = []
        for _ in range(5):
            with pytest.raises(grpc.RpcError) as caught:
                next(stub.Extract(extract_request()))
            refused.append(from_rpc_error(caught.value, running.address))
        assert {type(error) for error in refused} == {Busy}
        waits = [error.retry_after_seconds or 0 for error in refused]
        assert all(0.5 <= wait <= 5 for wait in waits)
        assert len(set(waits)) > 1
        assert health_of(channel) == SERVING
        info = info_pb2_grpc.InfoServiceStub(channel).GetInfo(info_pb2.GetInfoRequest())
        assert (info.slots, info.slots_in_use) == (2, 2)
        running.servicer.go_on.set()
        for stream in streams:
            list(stream)
        wait_until(lambda: running.server.slots.in_use == 0)
        assert len(list(stub.Extract(extract_request()))) == 1


def test_when_every_call_is_taken_health_answers_and_further_calls_are_refused_at_once(serve):
    running = serve(threads=4, slots=100)
    with grpc.insecure_channel(running.address) as channel:
        stub = running.stub(channel)
        streams = [stub.Extract(extract_request()) for _ in range(4)]
        for stream in streams:
            next(stream)
        for _ in range(30):
            assert health_of(channel) == SERVING
            with pytest.raises(grpc.RpcError) as caught:
                stub.Inspect(inspect_request(), timeout=30)
            refused = from_rpc_error(caught.value, running.address)
            assert (type(refused), refused.reason) == (Busy, "TOO_MANY_CALLS")
            assert 1 <= (refused.retry_after_seconds or 0) <= 10
        running.servicer.go_on.set()
        for stream in streams:
            list(stream)
        assert stub.Inspect(inspect_request(), timeout=30) == running.servicer.answer


def test_a_slot_is_free_again_after_an_error_and_after_the_client_hung_up(running, stub):
    running.servicer.error = InvalidInput("No.")
    running.servicer.go_on.set()
    with pytest.raises(grpc.RpcError):
        list(stub.Extract(extract_request()))
    wait_until(lambda: running.server.slots.in_use == 0)
    running.servicer.go_on.clear()
    running.servicer.ended.clear()
    stream = stub.Extract(extract_request())
    next(stream)
    assert running.server.slots.in_use == 1
    stream.cancel()
    assert running.servicer.ended.wait(5)
    wait_until(lambda: running.server.slots.in_use == 0)
