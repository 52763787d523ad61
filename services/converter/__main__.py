"""Runs the converter service: `python -m services.converter`."""

from __future__ import annotations

import sys

from facefoundry.errors import FaceFoundryError
from facefoundry.rpc.server import Server, exit_code
from facefoundry.settings import StoreSettings, read
from facefoundry.storage.store import Store
from facefoundry.telemetry import configure_logging
from facefoundry.v1 import converter_pb2, converter_pb2_grpc
from facefoundry.work.pool import SandboxPool
from facefoundry.work.runner import Runner
from services.converter.servicer import ConverterServicer
from services.converter.settings import ConverterSettings


def main() -> None:
    """Read the settings, serve until SIGTERM, then drain."""
    try:
        settings = read(ConverterSettings)
        configure_logging("converter", settings.log_level)
        server, runner = build(settings, Store(read(StoreSettings)))
        server.run(runner.close)
    except FaceFoundryError as error:
        sys.exit(exit_code(error))


def build(settings: ConverterSettings, store: Store, pool: SandboxPool | None = None) -> tuple[Server, Runner]:
    """Make the server and the runner that does the work of its calls; the server is not started.

    Args:
        settings: The service's settings.
        store: The object store.
        pool: Where sandboxes run; by default a new pool.
    """
    full_name = converter_pb2.DESCRIPTOR.services_by_name["ConverterService"].full_name
    server = Server("converter", settings, store, full_name)
    runner = Runner(
        "converter",
        store,
        settings,
        max_source_bytes=settings.converter_max_source_bytes,
        max_pixels=settings.converter_max_pixels,
        slots=server.slots,
        stopping=server.draining,
        pool=pool,
    )
    servicer = ConverterServicer(store, runner)
    server.add(lambda grpc: converter_pb2_grpc.add_ConverterServiceServicer_to_server(servicer, grpc))
    return server, runner


if __name__ == "__main__":
    main()
