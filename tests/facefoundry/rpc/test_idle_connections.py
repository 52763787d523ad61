"""Connections on which nobody calls, of one host that has many."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from facefoundry.rpc.idle import IdleConnections
from facefoundry.rpc.upkeep import repeat
from facefoundry.v1 import extractor_pb2
from tests.tiny import extract_request

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])

OWN = [("grpc.use_local_subchannel_pool", 1)] * 2  # a connection of its own for each channel

# Takes connections until no descriptor is left, and prints how many of them it closes at the second look.
FLOODED = """
import os, resource, socket
from facefoundry.rpc.idle import IdleConnections
now, limit = [0.0], 64
idle = IdleConnections(per_host=4, clock=lambda: now[0])
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
held = []
try:
    while True:
        held.append(socket.create_connection(("127.0.0.1", port)))
        held.append(listener.accept()[0])
except OSError:
    pass
try:
    while True:
        os.dup(0)
except OSError:
    pass
taken = len(held) // 2
first = idle.close(port)
now[0] = 5.0
print(taken, first, idle.close(port))
"""


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def connect(stack, port, count):
    """Open connections, and return them once the server has sent something on each."""
    opened = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60)) for _ in range(count)]
    for each in opened:
        each.sendall(PREFACE)
        assert each.recv(1)
    return opened


def is_closed(opened):
    try:
        while opened.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


@contextmanager
def listening():
    """A server's port, and a function that opens connections: for each the caller's name, and the caller's end."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listener.getsockname()[1]

        def accept(count):
            clients = []
            for _ in range(count):
                clients.append(stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60)))
                stack.enter_context(listener.accept()[0])
            return [f"ipv4:127.0.0.1:{each.getsockname()[1]}" for each in clients], clients

        yield port, accept


@contextmanager
def accepted(count):
    """A server's port with connections."""
    with listening() as (port, accept):
        yield port, *accept(count)


def open_ones(clients):
    """Return the numbers of the connections that the server has not shut down."""
    found = []
    for number, each in enumerate(clients):
        each.setblocking(False)
        try:
            each.recv(1)
        except BlockingIOError:
            found.append(number)
    return found


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::]:0"])
def test_a_host_keeps_the_connections_on_which_it_calls_and_loses_the_others_if_they_are_many(serve, listen):
    running = serve(listen=listen)
    entered, over, port = threading.Event(), threading.Event(), running.server.port
    clock = Clock()
    idle = IdleConnections(per_host=1, clock=clock)

    def extract(request, context):
        with idle.calling(context.peer()):
            entered.set()
            over.wait(60)
        yield extractor_pb2.ExtractResponse()

    running.servicer.extract = extract
    with ExitStack() as stack:
        stack.callback(over.set)
        channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{port}"))
        call = running.stub(channel).Extract(extract_request())
        assert entered.wait(60)
        many = connect(stack, port, 5)
        assert idle.close(port) == 0
        clock.now = 5.0
        assert idle.close(port) == len(many)
        assert all(is_closed(each) for each in many)
        over.set()
        assert len(list(call)) == 1


def test_a_connection_has_5_seconds_for_its_first_call_and_2_from_call_to_call():
    clock = Clock()
    idle = IdleConnections(per_host=0, clock=clock)
    with accepted(2) as (port, names, clients):
        assert idle.close(port) == 0
        clock.now = 3.9
        with idle.calling(names[0]):
            clock.now = 4.0
        clock.now = 4.9
        assert idle.close(port) == 0
        clock.now = 5.0
        assert (idle.close(port), open_ones(clients)) == (1, [0])
        clock.now = 5.9
        assert idle.close(port) == 0
        clock.now = 6.0
        assert (idle.close(port), open_ones(clients)) == (1, [])


def test_a_host_keeps_as_many_connections_as_it_may_have_the_newest_used_ones():
    clock = Clock()
    idle = IdleConnections(per_host=3, clock=clock)
    with accepted(6) as (port, names, clients):
        assert idle.close(port) == 0
        for number in (4, 0, 2):
            clock.now += 1.0
            with idle.calling(names[number]):
                pass
        clock.now = 100.0
        assert (idle.close(port), open_ones(clients)) == (3, [0, 2, 4])
        clock.now = 200.0
        assert idle.close(port) == 0


def test_a_host_with_too_many_idle_connections_loses_the_longest_idle_at_once():
    clock = Clock()
    idle = IdleConnections(per_host=2, idle_per_host=4, clock=clock)
    with accepted(7) as (port, names, clients), ExitStack() as running:
        calls = {number: running.enter_context(ExitStack()) for number in range(7)}
        for number, call in calls.items():
            call.enter_context(idle.calling(names[number]))
        assert idle.close(port) == 0
        for number in (5, 3, 0, 1, 2, 4):  # call 6 goes on
            clock.now += 0.1
            calls[number].close()
        assert (idle.close(port), open_ones(clients)) == (2, [0, 1, 2, 4, 6])
        assert idle.close(port) == 0
        clock.now += 2.0
        assert (idle.close(port), open_ones(clients)) == (3, [4, 6])


def test_a_flood_loses_its_connections_before_the_clients_that_have_called():
    clock = Clock()
    idle = IdleConnections(per_host=2, idle_per_host=4, clock=clock)
    with accepted(7) as (port, names, clients):
        for number in (1, 0):  # before anybody has looked at the connections
            with idle.calling(names[number]):
                clock.now += 1.0
        assert idle.close(port) == 3
        left = open_ones(clients)
        assert (left[:2], len(left)) == ([0, 1], 4)
        with idle.calling(names[0]):
            clock.now += 0.1
        clock.now += 4.0  # the callers have no time left, the others have
        assert (idle.close(port), open_ones(clients)) == (0, left)
        clock.now += 1.0
        assert (idle.close(port), open_ones(clients)) == (2, [0, 1])


def test_a_client_that_called_while_there_were_few_connections_survives_a_flood():
    clock, few = Clock(), len(list(Path("/proc/self/fd").iterdir())) + 10
    idle = IdleConnections(per_host=few, idle_per_host=few, clock=clock)
    with listening() as (port, accept):
        names, clients = accept(1)
        with idle.calling(names[0]):
            clock.now = 1.0
        assert idle.close(port) == 0
        clock.now = 2.0
        _, flood = accept(few + 2)
        assert idle.close(port) == 3
        assert len(open_ones(clients)) == 1
        assert len(open_ones(flood)) == few - 1


def test_idle_connections_are_closed_when_no_file_descriptor_is_left():
    printed = subprocess.run([sys.executable, "-c", FLOODED], capture_output=True, text=True, check=True, timeout=120)
    taken, first, second = map(int, printed.stdout.split())
    assert taken > 20
    assert (first, second) == (0, taken - 4)


def test_a_watch_of_the_health_and_a_stream_of_reflection_are_calls(serve):
    clock = Clock()
    running = serve(idle=IdleConnections(per_host=1, clock=clock))
    port, ask = running.server.port, reflection_pb2.ServerReflectionRequest(list_services="")
    with ExitStack() as stack:
        health, reflected = (stack.enter_context(grpc.insecure_channel(running.address, [own])) for own in OWN)
        watch = health_pb2_grpc.HealthStub(health).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        over = threading.Event()
        stack.callback(over.set)

        def requests():
            yield ask
            over.wait(60)
            yield ask

        answers = reflection_pb2_grpc.ServerReflectionStub(reflected).ServerReflectionInfo(requests())
        next(answers)
        idle = connect(stack, port, 1)
        ended = threading.Event()

        def wait_for_the_end():
            is_closed(idle[0])
            ended.set()

        threading.Thread(target=wait_for_the_end, daemon=True).start()
        while not ended.wait(0.1):
            clock.now += 5.0
        over.set()
        assert next(answers).HasField("list_services_response")
        assert watch.is_active()


def test_upkeep_goes_on_after_an_error(caplog):
    times = []

    def fail_at_first():
        times.append(1)
        if len(times) < 3:
            raise OSError(24, "Too many open files")

    async def run():
        with ThreadPoolExecutor(1) as threads:
            running = asyncio.create_task(repeat(fail_at_first, 0.0, threads))
            while len(times) < 4:
                await asyncio.sleep(0)
            running.cancel()

    asyncio.run(asyncio.wait_for(run(), 60))
    assert [record.message for record in caplog.records] == ["upkeep_failed"] * 2
