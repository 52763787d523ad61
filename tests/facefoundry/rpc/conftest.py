"""A real server with a servicer that does what the test asks, and certificates made for the test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import grpc
import pytest

from facefoundry.rpc.idle import IdleConnections
from facefoundry.rpc.server import Server
from facefoundry.settings import ServerSettings, StoreSettings, read
from facefoundry.storage.store import Store
from facefoundry.v1 import common_pb2, extractor_pb2, extractor_pb2_grpc

FULL_NAME = "facefoundry.v1.ExtractorService"


@dataclass
class Servicer(extractor_pb2_grpc.ExtractorServiceServicer):
    """Raises, answers or streams as told."""

    server: Server | None = None
    error: BaseException | None = None
    errors: Iterator[BaseException] = field(default_factory=lambda: iter(()))
    answer: extractor_pb2.InspectResponse = field(default_factory=extractor_pb2.InspectResponse)
    go_on: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    extract: Callable[..., Iterator[extractor_pb2.ExtractResponse]] | None = None

    def Inspect(self, request, context):
        error = next(self.errors, self.error)
        if error is not None:
            raise error
        return self.answer

    def Extract(self, request, context):
        """Hold a slot and stream until `go_on` is set or the client is gone, then raise `error` if there is one."""
        if self.extract is not None:
            yield from self.extract(request, context)
            return
        try:
            with self.server.slots.take():
                while context.is_active():
                    yield extractor_pb2.ExtractResponse(progress=common_pb2.Progress(stage="test"))
                    if self.go_on.wait(0.02):
                        break
                if self.error is not None:
                    raise self.error
        finally:
            self.ended.set()


@dataclass
class Running:
    """A started server, its servicer and its address."""

    server: Server
    servicer: Servicer
    address: str

    def stub(self, channel: grpc.Channel) -> extractor_pb2_grpc.ExtractorServiceStub:
        return extractor_pb2_grpc.ExtractorServiceStub(channel)


@pytest.fixture
def dead_store() -> Store:
    """A store that does not answer."""
    return Store(read(StoreSettings, endpoint="127.0.0.1:1", attempts=1, timeout_seconds=1.0))


@pytest.fixture
def serve(dead_store: Store) -> Iterator[Callable[..., Running]]:
    """Starts servers; all are stopped in the end."""
    started: list[Server] = []

    def start(
        store: Store | None = None,
        request_seconds: float = 20.0,
        response_seconds: float = 60.0,
        idle: IdleConnections | None = None,
        **settings: object,
    ) -> Running:
        defaults = {"listen": "127.0.0.1:0", "threads": 8, "drain_seconds": 0.5}
        server = Server(
            "extractor",
            read(ServerSettings, **{**defaults, **settings}),
            store or dead_store,
            FULL_NAME,
            lambda: ["dlib"],
            request_seconds,
            response_seconds,
            idle,
        )
        servicer = Servicer(server)  # type: ignore[abstract]  # not all calls yet
        server.add(lambda grpc_server: extractor_pb2_grpc.add_ExtractorServiceServicer_to_server(servicer, grpc_server))
        started.append(server)
        return Running(server, servicer, f"127.0.0.1:{server.start()}")

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def running(serve: Callable[..., Running]) -> Running:
    """A plaintext server."""
    return serve()


@pytest.fixture
def stub(running: Running) -> Iterator[extractor_pb2_grpc.ExtractorServiceStub]:
    """A client of the plaintext server."""
    with grpc.insecure_channel(running.address) as channel:
        yield running.stub(channel)
