"""The server with real sockets: health, reflection, info, metrics, admission."""

import urllib.request

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from facefoundry import __version__, recipes
from facefoundry.errors import Busy, InvalidInput
from facefoundry.local.process import free_ports
from facefoundry.rpc.status import from_rpc_error
from facefoundry.storage.store import Store
from facefoundry.v1 import extractor_pb2, info_pb2, info_pb2_grpc
from tests.health import health_of
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
        running.stub(channel).Inspect(extractor_pb2.InspectRequest())
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        page = answer.read().decode()
    (line,) = [
        line for line in page.splitlines() if line.startswith("facefoundry_calls_total") and "COUNTED_HERE" in line
    ]
    assert 'code="INVALID_ARGUMENT"' in line
    assert f'method="/{FULL_NAME}/Inspect"' in line
    assert line.endswith(" 1.0")


# Admission


def test_calls_beyond_the_slots_are_refused_with_a_time_to_come_back_and_the_server_stays_healthy(serve):
    running = serve(slots=2)
    with grpc.insecure_channel(running.address) as channel:
        stub = running.stub(channel)
        streams = [stub.Extract(extractor_pb2.ExtractRequest()) for _ in range(2)]
        for stream in streams:
            next(stream)
        refused = []
        for _ in range(5):
            with pytest.raises(grpc.RpcError) as caught:
                next(stub.Extract(extractor_pb2.ExtractRequest()))
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
        assert len(list(stub.Extract(extractor_pb2.ExtractRequest()))) == 1


def test_when_every_call_is_taken_health_answers_and_further_calls_are_refused_at_once(serve):
    running = serve(threads=4, slots=100)
    with grpc.insecure_channel(running.address) as channel:
        stub = running.stub(channel)
        streams = [stub.Extract(extractor_pb2.ExtractRequest()) for _ in range(4)]
        for stream in streams:
            next(stream)
        for _ in range(30):
            assert health_of(channel) == SERVING
            with pytest.raises(grpc.RpcError) as caught:
                stub.Inspect(extractor_pb2.InspectRequest(), timeout=30)
            refused = from_rpc_error(caught.value, running.address)
            assert (type(refused), refused.reason) == (Busy, "TOO_MANY_CALLS")
            assert 1 <= (refused.retry_after_seconds or 0) <= 10
        running.servicer.go_on.set()
        for stream in streams:
            list(stream)
        assert stub.Inspect(extractor_pb2.InspectRequest(), timeout=30) == running.servicer.answer


def test_a_slot_is_free_again_after_an_error_and_after_the_client_hung_up(running, stub):
    running.servicer.error = InvalidInput("No.")
    running.servicer.go_on.set()
    with pytest.raises(grpc.RpcError):
        list(stub.Extract(extractor_pb2.ExtractRequest()))
    wait_until(lambda: running.server.slots.in_use == 0)
    running.servicer.go_on.clear()
    running.servicer.ended.clear()
    stream = stub.Extract(extractor_pb2.ExtractRequest())
    next(stream)
    assert running.server.slots.in_use == 1
    stream.cancel()
    assert running.servicer.ended.wait(5)
    wait_until(lambda: running.server.slots.in_use == 0)
