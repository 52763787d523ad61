"""The bootstrap with real sockets: health, reflection, TLS, admission, metrics, drain."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from facefoundry import __version__, recipes
from facefoundry.errors import Busy, Interrupted, InvalidInput
from facefoundry.local.process import free_ports
from facefoundry.rpc.channel import open_channel
from facefoundry.rpc.status import from_rpc_error
from facefoundry.settings import ChannelSettings, read
from facefoundry.storage.store import Store
from facefoundry.v1 import common_pb2, extractor_pb2, extractor_pb2_grpc, info_pb2, info_pb2_grpc

FULL_NAME = "facefoundry.v1.ExtractorService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def eventually(condition, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def health_of(channel: grpc.Channel, name: str = "") -> int:
    return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name), timeout=5).status


def inspect(address: str, **settings: Path) -> extractor_pb2.InspectResponse:
    with open_channel(address, read(ChannelSettings, **settings)) as channel:
        stub = extractor_pb2_grpc.ExtractorServiceStub(channel)
        return stub.Inspect(extractor_pb2.InspectRequest(), timeout=5)


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
    assert [method.name for method in described.service[0].method] == ["Inspect", "Extract"]


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


# TLS


def test_over_tls_a_client_with_the_authority_is_served_and_others_are_not(serve, authority):
    cert_file, key_file = authority.issue("server")
    running = serve(tls_cert_file=cert_file, tls_key_file=key_file)
    running.servicer.answer = extractor_pb2.InspectResponse(width=7)
    assert inspect(running.address, ca_file=authority.file).width == 7
    stranger = type(authority)(authority.file.parent, "stranger")
    for settings in ({}, {"ca_file": stranger.file}):
        with pytest.raises(grpc.RpcError) as caught:
            inspect(running.address, **settings)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_generated_client_in_another_process_is_served_over_tls(serve, authority):
    cert_file, key_file = authority.issue("server")
    running = serve(tls_cert_file=cert_file, tls_key_file=key_file)
    running.servicer.answer = extractor_pb2.InspectResponse(codec="from the other side")
    script = textwrap.dedent(
        """
        import sys, grpc
        from facefoundry.v1 import extractor_pb2, extractor_pb2_grpc
        credentials = grpc.ssl_channel_credentials(open(sys.argv[2], "rb").read())
        stub = extractor_pb2_grpc.ExtractorServiceStub(grpc.secure_channel(sys.argv[1], credentials))
        print(stub.Inspect(extractor_pb2.InspectRequest(), timeout=20).codec)
        """
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [*sys.path, str(Path.cwd())]))}
    command = [sys.executable, "-c", script, running.address, str(authority.file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert (done.stdout, done.returncode) == ("from the other side\n", 0), done.stderr


def test_with_a_client_authority_only_its_clients_are_served_and_health_alone_is_plaintext(serve, authority):
    cert_file, key_file = authority.issue("server")
    (probes,) = free_ports(1)
    running = serve(
        tls_cert_file=cert_file,
        tls_key_file=key_file,
        tls_client_ca_file=authority.file,
        health_listen=f"127.0.0.1:{probes}",
    )
    client_cert, client_key = authority.issue("client")
    settings = {"ca_file": authority.file, "client_cert_file": client_cert, "client_key_file": client_key}
    assert inspect(running.address, **settings) == running.servicer.answer
    stranger_cert, stranger_key = type(authority)(authority.file.parent, "stranger").issue("strange-client")
    for refused in (
        {"ca_file": authority.file},
        {"ca_file": authority.file, "client_cert_file": stranger_cert, "client_key_file": stranger_key},
    ):
        with pytest.raises(grpc.RpcError) as caught:
            inspect(running.address, **refused)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    with grpc.insecure_channel(f"127.0.0.1:{probes}") as channel:
        assert health_of(channel) == SERVING
        with pytest.raises(grpc.RpcError) as caught:
            running.stub(channel).Inspect(extractor_pb2.InspectRequest())
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_renewed_certificate_is_used_by_the_next_connection_and_a_broken_one_is_not(serve, authority):
    cert_file, key_file = authority.issue("first", "server")
    running = serve(tls_cert_file=cert_file, tls_key_file=key_file)
    host, _, port = running.address.partition(":")
    context = ssl.create_default_context(cafile=str(authority.file))
    context.set_alpn_protocols(["h2"])

    def name_presented() -> str:
        with socket.create_connection((host, int(port))) as raw, context.wrap_socket(raw, server_hostname=host) as tls:
            presented: Any = tls.getpeercert()
            return dict(pair for part in presented["subject"] for pair in part)["commonName"]

    assert name_presented() == "first"
    authority.issue("second", "server")
    assert name_presented() == "second"
    key_file.unlink()
    assert name_presented() == "second"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["tls_cert_file"], "FACEFOUNDRY_TLS_KEY_FILE"),
        (["tls_key_file"], "FACEFOUNDRY_TLS_CERT_FILE"),
        (["tls_client_ca_file"], "FACEFOUNDRY_TLS_CLIENT_CA_FILE"),
        (["tls_cert_file", "tls_key_file"], "not-there"),
    ],
)
def test_tls_settings_that_cannot_work_stop_the_start_and_name_what_is_wrong(serve, tmp_path, given, named):
    with pytest.raises(InvalidInput, match=named) as caught:
        serve(**dict.fromkeys(given, tmp_path / "not-there.pem"))
    assert caught.value.reason == "TLS"


def test_a_taken_port_stops_the_start_and_is_named(serve, running):
    with pytest.raises(InvalidInput, match=running.address) as caught:
        serve(listen=running.address)
    assert caught.value.reason == "LISTEN"


def test_a_client_whose_tls_file_is_missing_is_told_so(tmp_path):
    with pytest.raises(InvalidInput, match=r"not-there\.pem"):
        open_channel("127.0.0.1:1", read(ChannelSettings, ca_file=tmp_path / "not-there.pem"))


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
        assert eventually(lambda: running.server.slots.in_use == 0)
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
    assert eventually(lambda: running.server.slots.in_use == 0)
    running.servicer.go_on.clear()
    running.servicer.ended.clear()
    stream = stub.Extract(extractor_pb2.ExtractRequest())
    next(stream)
    assert running.server.slots.in_use == 1
    stream.cancel()
    assert running.servicer.ended.wait(5)
    assert eventually(lambda: running.server.slots.in_use == 0)


# Drain

SERVICE = """
import sys, time
sys.path[:0] = sys.argv[1:]
import grpc
from facefoundry.errors import Interrupted
from facefoundry.rpc.server import Server
from facefoundry.settings import ServerSettings, StoreSettings, read
from facefoundry.storage.store import Store
from facefoundry.v1 import common_pb2, extractor_pb2, extractor_pb2_grpc

class Servicer(extractor_pb2_grpc.ExtractorServiceServicer):
    def Extract(self, request, context):
        while not server.draining.is_set() or request.sequence_id == "stubborn":
            yield extractor_pb2.ExtractResponse(progress=common_pb2.Progress(stage="running"))
            time.sleep(0.05)
        time.sleep(0.5)
        yield extractor_pb2.ExtractResponse(progress=common_pb2.Progress(stage="last part"))
        raise Interrupted("This replica is stopping; call again to go on.")

settings = read(ServerSettings, listen="127.0.0.1:{PORT}", drain_seconds=DRAIN, threads=8)
store = Store(read(StoreSettings, endpoint="127.0.0.1:1", attempts=1))
server = Server("extractor", settings, store, "facefoundry.v1.ExtractorService")
server.add(lambda grpc_server: extractor_pb2_grpc.add_ExtractorServiceServicer_to_server(Servicer(), grpc_server))
server.run()
"""


@pytest.fixture
def service_process():
    """Starts a service in a process of its own; gives the process and its address."""
    started = []

    def start(drain_seconds: float) -> tuple[subprocess.Popen, str]:
        (port,) = free_ports(1)
        script = SERVICE.replace("{PORT}", str(port)).replace("DRAIN", str(drain_seconds))
        command = [sys.executable, "-c", script, str(Path.cwd()), *filter(None, sys.path)]
        started.append(subprocess.Popen(command))
        return started[-1], f"127.0.0.1:{port}"

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_connections_are_renewed_and_calls_on_them_go_on(serve):
    """A client looks names up again when it connects: so it comes to know new replicas."""
    running = serve(max_connection_age_seconds=0.5)
    peers = []

    def extract(request, context):
        peers.append(context.peer())
        for _ in range(int(request.sequence_id)):
            yield extractor_pb2.ExtractResponse(progress=common_pb2.Progress(stage="test"))
            time.sleep(0.05)

    running.servicer.extract = extract
    with grpc.insecure_channel(running.address) as channel:
        stub = running.stub(channel)
        long = stub.Extract(extractor_pb2.ExtractRequest(sequence_id="60"))
        for _ in range(15):
            assert len(list(stub.Extract(extractor_pb2.ExtractRequest(sequence_id="2")))) == 2
            time.sleep(0.05)
        assert len(list(long)) == 60
    assert len(set(peers)) >= 3


def test_sigterm_turns_health_off_lets_the_running_part_end_and_exits_cleanly(service_process):
    process, address = service_process(10)
    with grpc.insecure_channel(address) as channel:
        grpc.channel_ready_future(channel).result(timeout=20)
        stub = extractor_pb2_grpc.ExtractorServiceStub(channel)
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == SERVING
        stream = stub.Extract(extractor_pb2.ExtractRequest())
        assert next(stream).progress.stage == "running"
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert next(watch).status == NOT_SERVING
        stages = []
        with pytest.raises(grpc.RpcError) as caught:
            for message in stream:
                stages.append(message.progress.stage)
        assert stages[-1] == "last part"
        assert type(from_rpc_error(caught.value, address)) is Interrupted
        with pytest.raises(grpc.RpcError) as caught:
            next(stub.Extract(extractor_pb2.ExtractRequest()))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert process.wait(10) == 0
    assert time.monotonic() - begin < 5


def test_a_call_that_does_not_end_is_cut_when_the_drain_time_is_over(service_process):
    process, address = service_process(1)
    with grpc.insecure_channel(address) as channel:
        grpc.channel_ready_future(channel).result(timeout=20)
        stream = extractor_pb2_grpc.ExtractorServiceStub(channel).Extract(
            extractor_pb2.ExtractRequest(sequence_id="stubborn")
        )
        next(stream)
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        with pytest.raises(grpc.RpcError):
            list(stream)
        assert 0.8 < time.monotonic() - begin < 4
    assert process.wait(10) == 0


def test_stopping_twice_is_no_error(running):
    threads = [threading.Thread(target=running.server.stop) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
