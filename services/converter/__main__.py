"""`python -m services.converter`: serve until SIGTERM."""

from __future__ import annotations

import sys

from facefoundry.errors import FaceFoundryError
from facefoundry.rpc.children import Children
from facefoundry.rpc.server import Server
from facefoundry.settings import StoreSettings, read
from facefoundry.storage.store import Store
from facefoundry.telemetry import configure_logging
from facefoundry.v1 import converter_pb2, converter_pb2_grpc
from services.converter.servicer import ConverterServicer
from services.converter.settings import ConverterSettings


def main() -> None:
    """Read the settings, start, and drain at SIGTERM."""
    try:
        settings = read(ConverterSettings)
        configure_logging("converter", settings.log_level)
        server, servicer = build(settings, Store(read(StoreSettings)))
        server.run(servicer.close)
    except FaceFoundryError as error:
        sys.exit(error.message)


def build(
    settings: ConverterSettings, store: Store, children: Children | None = None
) -> tuple[Server, ConverterServicer]:
    """Make the server with its servicer, not started."""
    full_name = converter_pb2.DESCRIPTOR.services_by_name["ConverterService"].full_name
    server = Server("converter", settings, store, full_name)
    servicer = ConverterServicer(store, settings, server.slots, server.draining, children)
    server.add(lambda grpc: converter_pb2_grpc.add_ConverterServiceServicer_to_server(servicer, grpc))
    return server, servicer


if __name__ == "__main__":
    main()
