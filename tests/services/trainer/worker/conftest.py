"""Workers as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from facefoundry.settings import StoreSettings

Spawn = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def spawn(store_settings: StoreSettings, tmp_path: Path) -> Iterator[Spawn]:
    """Starts workers; none survives the test."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(
        uri: str, environ: Mapping[str, str] | None = None, stdin: int | None = None, **settings: object
    ) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "FACEFOUNDRY_STORE_ENDPOINT": store_settings.endpoint,
            "FACEFOUNDRY_STORE_ACCESS_KEY": store_settings.access_key.get_secret_value(),
            "FACEFOUNDRY_STORE_SECRET_KEY": store_settings.secret_key.get_secret_value(),
            "FACEFOUNDRY_STORE_BUCKET": store_settings.bucket,
            "FACEFOUNDRY_WORKER_TERMINATION_LOG": str(tmp_path / "exit-report"),
            "FACEFOUNDRY_WORKER_STATUS_SECONDS": "0.2",
            **{f"FACEFOUNDRY_WORKER_{name.upper()}": str(value) for name, value in settings.items()},
            **(environ or {}),
        }
        command = [sys.executable, "-m", "services.trainer.worker", uri]
        processes.append(subprocess.Popen(command, env=environment, stdin=stdin))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()
