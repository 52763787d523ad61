"""Connections that are renewed, and a server that stops: health first, then the running calls, then the process."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from facefoundry.errors import Interrupted
from facefoundry.local.process import free_ports
from facefoundry.rpc.status import from_rpc_error
from facefoundry.v1 import common_pb2, extractor_pb2, extractor_pb2_grpc
from tests.tiny import extract_request
from tests.waiting import wait_until

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

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
        while not server.draining.wait(0.05) or request.sequence_id == "stubborn":
            yield extractor_pb2.ExtractResponse(progress=common_pb2.Progress(stage="running"))
        time.sleep(0.5)  # the current part takes a moment
        yield extractor_pb2.ExtractResponse(progress=common_pb2.Progress(stage="last part"))
        raise Interrupted("This replica is stopping; call again to continue.")

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
    """A client looks names up again when it connects, so it finds new replicas."""
    running = serve(max_connection_age_seconds=0.5)
    peers, over = set(), threading.Event()

    def extract(request, context):
        peers.add(context.peer())
        while request.sequence_id == "long" and not over.wait(0.05):
            yield extractor_pb2.ExtractResponse(progress=common_pb2.Progress(stage="running"))
        yield extractor_pb2.ExtractResponse(progress=common_pb2.Progress(stage="end"))

    running.servicer.extract = extract
    with grpc.insecure_channel(running.address) as channel:
        stub = running.stub(channel)
        long = stub.Extract(extract_request("long"))
        wait_until(lambda: list(stub.Extract(extract_request())) and len(peers) >= 3, every=0.05)
        over.set()
        assert [message.progress.stage for message in long][-1] == "end"


def test_sigterm_turns_health_off_lets_the_running_part_end_and_exits_cleanly(service_process):
    process, address = service_process(600)
    with grpc.insecure_channel(address) as channel:
        grpc.channel_ready_future(channel).result(timeout=20)
        stub = extractor_pb2_grpc.ExtractorServiceStub(channel)
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == SERVING
        stream = stub.Extract(extract_request())
        assert next(stream).progress.stage == "running"
        process.send_signal(signal.SIGTERM)
        assert next(watch).status == NOT_SERVING
        stages = []
        with pytest.raises(grpc.RpcError) as caught:
            for message in stream:
                stages.append(message.progress.stage)
        assert stages[-1] == "last part"
        assert type(from_rpc_error(caught.value, address)) is Interrupted
        with pytest.raises(grpc.RpcError) as caught:
            next(stub.Extract(extract_request()))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert process.wait(60) == 0, "it ends with the last call, long before the drain time is over"


def test_a_call_that_does_not_end_is_cut_when_the_drain_time_is_over(service_process):
    process, address = service_process(1)
    with grpc.insecure_channel(address) as channel:
        grpc.channel_ready_future(channel).result(timeout=20)
        stream = extractor_pb2_grpc.ExtractorServiceStub(channel).Extract(extract_request("stubborn"))
        next(stream)
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        with pytest.raises(grpc.RpcError):
            list(stream)
        assert time.monotonic() - begin > 0.8
    assert process.wait(60) == 0


def test_stopping_twice_is_no_error(running):
    threads = [threading.Thread(target=running.server.stop) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
