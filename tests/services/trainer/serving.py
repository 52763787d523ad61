"""A trainer's trainings behind a real gRPC server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from facefoundry.rpc.files import StoredFiles
from facefoundry.rpc.server import Server
from facefoundry.settings import read
from facefoundry.storage.store import Store
from facefoundry.v1 import trainer_pb2_grpc
from services.trainer.servicer import TrainerServicer
from services.trainer.settings import TrainerSettings
from services.trainer.trainings import Trainings


@dataclass(frozen=True)
class Served:
    """A running server and its address."""

    server: Server
    address: str


@contextmanager
def serving(store: Store, trainings: Trainings, **settings: float) -> Iterator[Served]:
    """Serve trainings for the time of the block."""
    chosen = read(TrainerSettings, **{"listen": "127.0.0.1:0", "drain_seconds": 1.0, **settings})
    server = Server("trainer", chosen, store, "facefoundry.v1.TrainerService")
    files = StoredFiles("trainer", store)
    servicer = TrainerServicer(trainings, files, chosen, server.draining)  # type: ignore[abstract]  # not all calls yet
    server.add(lambda made: trainer_pb2_grpc.add_TrainerServiceServicer_to_server(servicer, made))
    yield Served(server, f"127.0.0.1:{server.start()}")
    server.stop()
