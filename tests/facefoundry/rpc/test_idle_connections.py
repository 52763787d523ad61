"""Connections on which nobody calls, of one host that has many."""

import socket
import threading
from contextlib import ExitStack

import grpc
import pytest

from facefoundry.rpc.idle import IdleConnections
from facefoundry.v1 import extractor_pb2
from tests.tiny import extract_request

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


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


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::]:0"])
def test_a_host_keeps_the_connections_on_which_it_calls_and_loses_the_others_if_they_are_many(serve, listen):
    running = serve(listen=listen)
    entered, over, port = threading.Event(), threading.Event(), running.server.port
    idle = IdleConnections(per_host=4)

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
        few = connect(stack, port, 3)
        assert (idle.close(port), idle.close(port)) == (0, 0)  # four of them are not many
        many = few + connect(stack, port, 2)
        assert idle.close(port) == 0  # they may have been opened just now
        assert idle.close(port) == len(many)
        assert all(is_closed(each) for each in many)
        over.set()
        assert len(list(call)) == 1


def test_a_call_that_has_just_ended_keeps_its_connection(serve):
    running = serve()
    idle, port = IdleConnections(per_host=1), running.server.port
    with ExitStack() as stack:
        many = connect(stack, port, 2)
        name = f"ipv4:127.0.0.1:{many[0].getsockname()[1]}"
        assert idle.close(port) == 0
        with idle.calling(name):
            pass
        assert idle.close(port) == 1
        assert is_closed(many[1])
