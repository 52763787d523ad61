"""`python -m services.extractor`: serve until SIGTERM."""

from __future__ import annotations

import sys

from facefoundry.errors import FaceFoundryError
from facefoundry.rpc.server import Server
from facefoundry.settings import StoreSettings, read
from facefoundry.storage.store import Store
from facefoundry.telemetry import configure_logging
from facefoundry.v1 import extractor_pb2, extractor_pb2_grpc
from services.extractor.servicer import ExtractorServicer
from services.extractor.settings import ExtractorSettings


def main() -> None:
    """Read the settings, start, and drain at SIGTERM."""
    try:
        settings = read(ExtractorSettings)
        configure_logging("extractor", settings.log_level)
        server, servicer = build(settings, Store(read(StoreSettings)))
        server.run(servicer.close)
    except FaceFoundryError as error:
        sys.exit(error.message)


def build(settings: ExtractorSettings, store: Store) -> tuple[Server, ExtractorServicer]:
    """Make the server with its servicer, not started."""
    full_name = extractor_pb2.DESCRIPTOR.services_by_name["ExtractorService"].full_name
    server = Server("extractor", settings, store, full_name, engines=lambda: servicer.weights.engines())
    servicer = ExtractorServicer(store, settings, server.slots, server.draining)
    server.add(lambda grpc: extractor_pb2_grpc.add_ExtractorServiceServicer_to_server(servicer, grpc))
    return server, servicer


if __name__ == "__main__":
    main()
