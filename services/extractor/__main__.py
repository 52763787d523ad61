"""Runs the extractor service: `python -m services.extractor`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from facefoundry.errors import FaceFoundryError
from facefoundry.rpc.server import Server, exit_code
from facefoundry.settings import StoreSettings, read
from facefoundry.storage.store import Store
from facefoundry.storage.uploads import PART_BYTES, Uploads
from facefoundry.telemetry import configure_logging
from facefoundry.v1 import extractor_pb2, extractor_pb2_grpc
from facefoundry.work.incoming import IncomingFiles
from facefoundry.work.pool import SandboxPool
from facefoundry.work.runner import Runner
from services.extractor.functions import PART_FRAMES, FaceShares
from services.extractor.imports import SourceImports
from services.extractor.servicer import ExtractorServicer
from services.extractor.settings import ExtractorSettings
from services.extractor.weights import Weights


def main() -> None:
    """Read the settings, serve until SIGTERM, then drain."""
    try:
        settings = read(ExtractorSettings)
        configure_logging("extractor", settings.log_level)
        server, runner = build(settings, Store(read(StoreSettings)))
        server.run(runner.close)
    except FaceFoundryError as error:
        sys.exit(exit_code(error))


def build(
    settings: ExtractorSettings,
    store: Store,
    pool: SandboxPool | None = None,
    part_frames: int = PART_FRAMES,
    upload_part_bytes: int = PART_BYTES,
) -> tuple[Server, Runner]:
    """Make the server and the runner that does the work of its calls; the server is not started.

    Args:
        settings: The service's settings.
        store: The object store.
        pool: Where sandboxes run; by default a new pool.
        part_frames: Number of frames in each part of an extraction.
        upload_part_bytes: Size of each part of an upload but the last.
    """
    full_name = extractor_pb2.DESCRIPTOR.services_by_name["ExtractorService"].full_name
    server = Server("extractor", settings, store, full_name, engines=lambda: weights.engines())
    fetched_weights = (settings.scratch_dir or Path(tempfile.gettempdir())) / "extractor-weights"
    fetched_weights.mkdir(parents=True, exist_ok=True)  # sandboxes may read what exists when they start
    runner = Runner(
        "extractor",
        store,
        settings,
        max_source_bytes=settings.extractor_max_source_bytes,
        max_pixels=settings.extractor_max_pixels,
        slots=server.slots,
        stopping=server.draining,
        pool=pool,
        readable=[fetched_weights, *filter(None, [settings.extractor_weights_dir])],
    )
    weights = Weights(
        settings.extractor_weights_dir,
        settings.extractor_weights_prefix,
        fetched_weights,
    )
    uploads = Uploads(store, settings.extractor_max_source_bytes, upload_part_bytes)
    files = IncomingFiles(store, uploads, settings.further_buckets)
    imports = SourceImports(store, runner, files, settings.extractor_max_frames)
    shares = FaceShares(settings.extractor_warn_share, settings.extractor_min_share)
    servicer = ExtractorServicer(store, runner, weights, uploads, imports, part_frames, shares)
    server.add(lambda grpc: extractor_pb2_grpc.add_ExtractorServiceServicer_to_server(servicer, grpc))
    return server, runner


if __name__ == "__main__":
    main()
