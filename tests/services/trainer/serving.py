"""A trainer's trainings behind a real gRPC server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from facefoundry.rpc.files import StoredFiles
from facefoundry.rpc.server import Server
from facefoundry.rpc.slots import Slots
from facefoundry.settings import read
from facefoundry.storage.store import Store
from facefoundry.storage.uploads import Uploads
from facefoundry.v1 import trainer_pb2_grpc
from facefoundry.work.incoming import IncomingFiles
from facefoundry.work.runner import Runner
from services.trainer.imports import Imports
from services.trainer.servicer import TrainerServicer
from services.trainer.settings import TrainerSettings
from services.trainer.trainings import Trainings


@dataclass(frozen=True)
class Served:
    """A running server and its address."""

    server: Server
    address: str


def servicer_of(
    store: Store,
    trainings: Trainings,
    settings: TrainerSettings,
    draining: threading.Event,
    **clock: Callable[[], float],
) -> TrainerServicer:
    """A servicer with given trainings."""
    limits: Any = {"max_source_bytes": 1, "slots": Slots("trainer", 1), "stopping": draining}
    uploads = Uploads(store, 1)
    imports = Imports(store, IncomingFiles(store, uploads), Runner("trainer", store, settings, **limits))
    return TrainerServicer(trainings, uploads, imports, StoredFiles("trainer", store), settings, draining, **clock)


@contextmanager
def serving(store: Store, trainings: Trainings, **settings: float) -> Iterator[Served]:
    """Serve trainings for the time of the block."""
    chosen = read(TrainerSettings, **{"listen": "127.0.0.1:0", "drain_seconds": 1.0, **settings})
    server = Server("trainer", chosen, store, "facefoundry.v1.TrainerService")
    servicer = servicer_of(store, trainings, chosen, server.draining)
    server.add(lambda made: trainer_pb2_grpc.add_TrainerServiceServicer_to_server(servicer, made))
    yield Served(server, f"127.0.0.1:{server.start()}")
    server.stop()
