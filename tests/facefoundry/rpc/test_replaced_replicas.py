"""All replicas of a service are replaced at once: a name server gives other addresses than before."""

from __future__ import annotations

import socket
import struct
import threading
from concurrent import futures

import grpc
import pytest

from facefoundry.client import Client
from facefoundry.settings import ChannelSettings, read
from facefoundry.v1 import trainer_pb2

URI = f"s3://facefoundry/trainings/{'0' * 40}"
_HEADER, _A = 12, 1


class NameServer:
    """A name server on loopback that gives one IPv4 address for every name."""

    def __init__(self) -> None:
        self.given = "127.0.0.1"
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            query, caller = self._socket.recvfrom(512)
            end = query.index(0, _HEADER) + 5  # of the name, its type and its class
            answers = b""
            if struct.unpack(">H", query[end - 4 : end - 2]) == (_A,):
                answers = struct.pack(">HHHIH", 0xC000 + _HEADER, _A, 1, 1, 4) + socket.inet_aton(self.given)
            counts = struct.pack(">HHHH", 1, bool(answers), 0, 0)
            self._socket.sendto(query[:2] + b"\x81\x80" + counts + query[_HEADER:end] + answers, caller)


def trainer(address: str, port: int = 0) -> tuple[grpc.Server, int]:
    """Start a trainer whose trainings are named by its address; return it and its port."""
    response = trainer_pb2.GetTrainingResponse(training=trainer_pb2.Training(pair_id=address))
    handler = grpc.unary_unary_rpc_method_handler(
        lambda _, __: response,
        request_deserializer=trainer_pb2.GetTrainingRequest.FromString,
        response_serializer=trainer_pb2.GetTrainingResponse.SerializeToString,
    )
    service = grpc.method_handlers_generic_handler("facefoundry.v1.TrainerService", {"GetTraining": handler})
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[service])
    used = server.add_insecure_port(f"{address}:{port}")
    server.start()
    return server, used


@pytest.fixture
def names() -> NameServer:
    return NameServer()


@pytest.mark.full
def test_a_client_waits_until_it_has_the_addresses_of_new_replicas(names: NameServer) -> None:
    """gRPC asks for the addresses of a name every 30 s at most (docs/api.md)."""
    names.given = "127.0.0.2"
    old, port = trainer(names.given)
    address = f"dns://{names.address}/trainer.example:{port}"
    with Client(read(ChannelSettings, trainer_address=address), retry_seconds=120.0) as client:
        assert client.get_training(URI).pair_id == "127.0.0.2"
        names.given = "127.0.0.3"
        new, _ = trainer(names.given, port)
        old.stop(0).wait()
        assert client.get_training(URI).pair_id == "127.0.0.3"
        new.stop(0)
