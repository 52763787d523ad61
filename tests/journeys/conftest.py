"""The command as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from facefoundry.local import ObjectStore


@dataclass
class Command:
    """`facefoundry ... --local` with a store of its own."""

    local_dir: Path

    def start(self, *arguments: object, **environment: str) -> subprocess.Popen[str]:
        """Start it; events come as JSON lines on stdout."""
        words = [str(argument) for argument in arguments]
        return subprocess.Popen(
            [sys.executable, "-m", "facefoundry", *words, "--local", "--local-dir", str(self.local_dir), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def run(self, *arguments: object, **environment: str) -> list[dict[str, Any]]:
        """Run it to a good end and return its events."""
        with self.start(*arguments, **environment) as process:
            out, err = process.communicate(timeout=800)
        assert process.returncode == 0, err[-3000:] + out[-3000:]
        return [json.loads(line) for line in out.splitlines()]

    def objects(self) -> dict[str, int]:
        """Keys and sizes in its store, which must not be running."""
        from facefoundry.storage.store import Store

        with ObjectStore(self.local_dir / "store") as settings:
            return dict(Store(settings).sizes(""))


@pytest.fixture(scope="session")
def new_command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Command]]:
    """Makes commands with a store of their own each."""
    yield lambda: Command(tmp_path_factory.mktemp("local"))
