"""Processes of a test's own: their environment, their port, and the sandboxes that they start."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import grpc
import psutil

from facefoundry.local.process import LOOPBACK, free_ports
from facefoundry.settings import ChannelSettings, Settings, StoreSettings
from services.converter.settings import ConverterSettings
from services.extractor.settings import ExtractorSettings
from services.trainer.backends.kubernetes.settings import KubernetesSettings
from services.trainer.backends.local.settings import LocalSettings
from services.trainer.settings import TrainerSettings, WorkerSettings
from tests.waiting import wait_until

ROOT = Path(__file__).parents[1]


def environment_of(store: StoreSettings, **more: object) -> dict[str, str]:
    """Return this process's environment with the store's settings, and with settings by field name (`scratch_dir`).

    A setting that no class has is an error here; a process would ignore it.
    """
    variables = {f"FACEFOUNDRY_{field.upper()}": str(value) for field, value in more.items()}
    assert variables.keys() <= _known_variables(), variables.keys() - _known_variables()
    return {
        **os.environ,
        "FACEFOUNDRY_LOCAL_WAITING_WORKER": "false",  # most of these processes train nothing
        "FACEFOUNDRY_STORE_ENDPOINT": store.endpoint,
        "FACEFOUNDRY_STORE_ACCESS_KEY": store.access_key.get_secret_value(),
        "FACEFOUNDRY_STORE_SECRET_KEY": store.secret_key.get_secret_value(),
        "FACEFOUNDRY_STORE_BUCKET": store.bucket,
        **variables,
    }


@cache
def _known_variables() -> set[str]:
    kinds: list[type[Settings]] = [StoreSettings, ChannelSettings, ExtractorSettings, ConverterSettings]
    kinds += [TrainerSettings, WorkerSettings, LocalSettings, KubernetesSettings]
    return {f"{kind.model_config['env_prefix']}{field.upper()}" for kind in kinds for field in kind.model_fields}


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


def gone(pid: int) -> bool:
    """Whether a process ends, soon."""

    def ended() -> bool:
        try:
            return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return True

    return wait_until(ended, seconds=20)


@dataclass(frozen=True)
class Release:
    """A version of the code.

    Attributes:
        folder: Folder of its repository.
        python: Interpreter with its libraries.
        variables: What a process needs in its environment to import it.
    """

    folder: Path
    python: str
    variables: Mapping[str, str] = field(default_factory=dict)


THIS = Release(ROOT, sys.executable)
"""The code under test."""


class Process:
    """A process of ours that can be started, killed and started again."""

    def __init__(
        self, name: str, command: list[str], environment: Mapping[str, str], folder: Path, release: Release = THIS
    ) -> None:
        self.name = name
        self._command, self._release = command, release
        self._environment = {**environment, **release.variables}
        self.log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self, *arguments: str) -> None:
        """Start it with further arguments."""
        with self.log.open("ab") as sink:
            self._process = subprocess.Popen(
                [self._release.python, "-m", *self._command, *arguments],
                env=self._environment,
                cwd=self._release.folder,
                stdout=sink,
                stderr=sink,
                stdin=subprocess.DEVNULL,
            )

    def send(self, signal_number: int) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(signal_number)

    def wait(self, seconds: float = 900.0) -> int:
        """Return its exit code once it has ended."""
        assert self._process is not None
        return self._process.wait(seconds)

    def gone(self, seconds: float) -> bool:
        """Return whether it ends in time."""
        try:
            self.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """Kill it, if it was started."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def events(self) -> list[dict[str, object]]:
        """Return what it has logged, over all its starts."""
        return logged_events(self.log)

    def tail(self) -> str:
        """Return the end of its log."""
        return self.log.read_text()[-3000:] if self.log.exists() else "(no log)"


class Service(Process):
    """One of the three services, on a port that it keeps when it is started again."""

    def __init__(
        self,
        name: str,
        environment: Mapping[str, str],
        folder: Path,
        command: list[str] | None = None,
        release: Release = THIS,
    ) -> None:
        self.address = f"{LOOPBACK}:{free_ports(1)[0]}"
        listening = {**environment, "FACEFOUNDRY_LISTEN": self.address}
        super().__init__(name, command or [f"services.{name}"], listening, folder, release)

    def ready(self) -> grpc.Channel:
        """Start it unless it runs, and return a fresh channel to it once it answers."""
        if not self.alive:
            self.start()
        options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
        options += [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
        channel = grpc.insecure_channel(self.address, options=options)
        try:
            grpc.channel_ready_future(channel).result(300)
        except grpc.FutureTimeoutError:
            raise AssertionError(f"{self.name} does not answer:\n{self.tail()}") from None
        return channel


def listeners(pids: list[int]) -> set[str]:
    """Return the addresses at which the processes listen."""
    found = set()
    for pid in pids:
        found |= {
            entry.laddr.ip.removeprefix("::ffff:")
            for entry in psutil.Process(pid).net_connections()
            if entry.status == psutil.CONN_LISTEN
        }
    return found
