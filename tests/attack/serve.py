"""The three services in one process of their own, with an idle training: `python -m tests.attack.serve FOLDER`.

Settings of the store come from the environment. It prints one line of JSON with addresses and URIs, and serves until it
is killed.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from facefoundry.settings import StoreSettings, read
from facefoundry.storage.store import Store
from facefoundry.telemetry import configure_logging
from services.converter.__main__ import build as build_converter
from services.converter.settings import ConverterSettings
from services.extractor.__main__ import build as build_extractor
from services.extractor.settings import ExtractorSettings
from services.trainer.__main__ import build as build_trainer
from services.trainer.backends.local import LocalBackend, LocalSettings
from services.trainer.settings import TrainerSettings


def main() -> None:
    """Serve."""
    scratch, store = Path(sys.argv[1]), Store(read(StoreSettings))
    configure_logging("attacked", "INFO")
    common = {"listen": "127.0.0.1:0", "scratch_dir": scratch, "drain_seconds": 1.0}
    idle = LocalBackend(read(LocalSettings), command=("sh", "-c", "exec sleep 900"))
    servers = {
        "extractor": build_extractor(read(ExtractorSettings, **common), store)[0],
        "trainer": build_trainer(read(TrainerSettings, **common), store, idle)[0],
        "converter": build_converter(read(ConverterSettings, **common), store)[0],
    }
    print(json.dumps({name: f"127.0.0.1:{server.start()}" for name, server in servers.items()}), flush=True)
    signal.sigwait([signal.SIGTERM])
    idle.close()
    for server in servers.values():
        server.stop()


if __name__ == "__main__":
    main()
