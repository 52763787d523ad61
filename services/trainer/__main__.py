"""Runs the trainer service: `python -m services.trainer`."""

from __future__ import annotations

import sys
import threading

from facefoundry.errors import FaceFoundryError
from facefoundry.rpc.files import StoredFiles
from facefoundry.rpc.server import Server, exit_code
from facefoundry.settings import StoreSettings, read
from facefoundry.storage.store import Store
from facefoundry.storage.uploads import Uploads
from facefoundry.telemetry import configure_logging
from facefoundry.v1 import trainer_pb2, trainer_pb2_grpc
from facefoundry.work.incoming import IncomingFiles
from facefoundry.work.pool import SandboxPool
from facefoundry.work.runner import Runner
from services.trainer import backends
from services.trainer.backends.base import TrainingBackend
from services.trainer.imports import Imports
from services.trainer.servicer import TrainerServicer
from services.trainer.settings import TrainerSettings
from services.trainer.sweep import Sweep
from services.trainer.trainings import Trainings

__all__ = ["build", "main"]


def main() -> int:
    """Read the settings, serve until SIGTERM, then drain; return the process's exit code."""
    try:
        settings = read(TrainerSettings)
        configure_logging("trainer", settings.log_level)
        store = Store(read(StoreSettings))
        backend = backends.load(settings)
        try:
            trainings = Trainings(store, backend, settings)
            server, runner = build(settings, store, backend, trainings=trainings)

            def close() -> None:
                runner.close()
                backend.close()

            sweep = Sweep(store, backend, settings.sweep_seconds)
            for work in (sweep.run, trainings.read_ahead):
                threading.Thread(target=work, args=(server.draining,), name=work.__qualname__, daemon=True).start()
            server.run(close)
        finally:
            backend.close()
    except FaceFoundryError as error:
        return exit_code(error)
    return 0


def build(
    settings: TrainerSettings,
    store: Store,
    backend: TrainingBackend,
    pool: SandboxPool | None = None,
    trainings: Trainings | None = None,
) -> tuple[Server, Runner]:
    """Make the server and the runner that does the work of imports; the server is not started.

    Args:
        settings: The service's settings.
        store: The object store.
        backend: Where workers run.
        pool: Where sandboxes run; by default a new pool.
        trainings: Starts, finds and stops trainings; by default a new one.
    """
    full_name = trainer_pb2.DESCRIPTOR.services_by_name["TrainerService"].full_name
    server = Server("trainer", settings, store, full_name, engines=lambda: [backend.name])
    runner = Runner(
        "trainer",
        store,
        settings,
        max_source_bytes=settings.trainer_max_model_bytes,
        slots=server.slots,
        stopping=server.draining,
        pool=pool,
    )
    uploads = Uploads(store, settings.trainer_max_model_bytes)
    servicer = TrainerServicer(
        trainings or Trainings(store, backend, settings),
        uploads,
        Imports(store, IncomingFiles(store, uploads, settings.further_buckets), runner),
        StoredFiles("trainer", store),
        settings,
        server.draining,
    )
    server.add(lambda grpc_server: trainer_pb2_grpc.add_TrainerServiceServicer_to_server(servicer, grpc_server))
    return server, runner


if __name__ == "__main__":
    sys.exit(main())
