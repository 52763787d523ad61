"""`python -m tests.faults.serve FRAMES`: the extractor with parts of so few frames that a tiny clip has several."""

from __future__ import annotations

import sys

from facefoundry.rpc.server import Server
from facefoundry.settings import StoreSettings, read
from facefoundry.storage.store import Store
from facefoundry.telemetry import configure_logging
from facefoundry.v1 import extractor_pb2, extractor_pb2_grpc
from services.extractor.servicer import ExtractorServicer
from services.extractor.settings import ExtractorSettings


def main() -> None:
    """Serve until SIGTERM."""
    settings, store = read(ExtractorSettings), Store(read(StoreSettings))
    configure_logging("extractor")
    full_name = extractor_pb2.DESCRIPTOR.services_by_name["ExtractorService"].full_name
    server = Server("extractor", settings, store, full_name)
    servicer = ExtractorServicer(store, settings, server.slots, server.draining, part_frames=int(sys.argv[1]))
    server.add(lambda grpc: extractor_pb2_grpc.add_ExtractorServiceServicer_to_server(servicer, grpc))
    server.run()
    servicer.close()


if __name__ == "__main__":
    main()
