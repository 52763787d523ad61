"""`python -m tests.faults.serve FRAMES`: the extractor with parts of so few frames that a tiny clip has several."""

from __future__ import annotations

import sys

from facefoundry.settings import StoreSettings, read
from facefoundry.storage.store import Store
from facefoundry.telemetry import configure_logging
from services.extractor.__main__ import build
from services.extractor.settings import ExtractorSettings


def main() -> None:
    """Serve until SIGTERM."""
    settings, store = read(ExtractorSettings), Store(read(StoreSettings))
    configure_logging("extractor")
    server, runner = build(settings, store, part_frames=int(sys.argv[1]))
    server.run(runner.close)


if __name__ == "__main__":
    main()
