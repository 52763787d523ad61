"""Processes of a test's own: their environment, their port, and the sandboxes that they start."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path

import psutil

from facefoundry.settings import StoreSettings
from tests.waiting import wait_until


def environment_of(store: StoreSettings, **more: object) -> dict[str, str]:
    """Return this process's environment with the store's settings, and with settings by field name (`scratch_dir`)."""
    return {
        **os.environ,
        "FACEFOUNDRY_STORE_ENDPOINT": store.endpoint,
        "FACEFOUNDRY_STORE_ACCESS_KEY": store.access_key.get_secret_value(),
        "FACEFOUNDRY_STORE_SECRET_KEY": store.secret_key.get_secret_value(),
        "FACEFOUNDRY_STORE_BUCKET": store.bucket,
        **{f"FACEFOUNDRY_{field.upper()}": str(value) for field, value in more.items()},
    }


def logged_events(log: Path) -> list[dict[str, object]]:
    """Return the whole JSON lines of a log; a process may still be writing the last one."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


def serving_port(process: subprocess.Popen[bytes], log: Path) -> int:
    """Return the port that a service logs once it serves; fail when the process ends before."""

    def port() -> int | None:
        assert process.poll() is None, log.read_text()
        ports = [event["port"] for event in logged_events(log) if event["event"] == "serving"]
        return int(str(ports[0])) if ports else None

    found = wait_until(port, failure=log.read_text)
    assert found
    return found


def sandboxes() -> set[int]:
    """Return the ids of the live sandboxes below this process."""
    found = set()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "facefoundry.process.sandbox" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                found.add(child.pid)
    return found
