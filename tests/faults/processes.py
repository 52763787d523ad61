"""The services and the command as processes that are killed and started again, and tiny work for them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import grpc

from facefoundry.client import Client
from facefoundry.local.process import LOOPBACK, free_ports
from facefoundry.settings import ChannelSettings, read
from facefoundry.v1 import recipe_pb2
from tests import tiny
from tests.clips import drifting_face, encode
from tests.faults.proxied_store import ProxiedStore
from tests.processes import logged_events

ROOT = Path(__file__).parents[2]
FRAMES = 10
PART_FRAMES = 3
ITERATIONS = 24
TINY: dict[str, object] = {"extraction__identity": False, "conversion__chunk_frames": PART_FRAMES}
"""Overrides that make every stage take moments and every clip several parts."""


def tiny_recipe() -> recipe_pb2.Recipe:
    """Return the recipe of the work."""
    return tiny.recipe(**TINY, training__iterations=ITERATIONS)


def write_clip(path: Path, phase: int, frames: int = FRAMES) -> Path:
    """Write a clip of a drifting face from a phase of its drift on; mirrored unless the phase is 0."""
    pictures = drifting_face(frames, phase)
    return encode(path, (picture[:, ::-1] for picture in pictures) if phase else pictures)


class Process:
    """A process of ours that can be started, killed and started again."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self._command, self._environment = command, dict(environment)
        self.log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *arguments: str, **environment: str) -> None:
        with self.log.open("ab") as sink:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._command, *arguments],
                env={**self._environment, **environment},
                cwd=ROOT,
                stdout=sink,
                stderr=sink,
                stdin=subprocess.DEVNULL,
            )

    def wait(self, seconds: float = 900.0) -> int:
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
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def events(self) -> list[dict[str, object]]:
        """Return what it has logged, over all its starts."""
        return logged_events(self.log)

    def tail(self) -> str:
        return self.log.read_text()[-3000:] if self.log.exists() else "(no log)"


class Service(Process):
    """One of the three services, on a port of its own."""

    def __init__(
        self,
        name: str,
        proxied: ProxiedStore,
        settings: Mapping[str, object] | None = None,
        command: list[str] | None = None,
    ) -> None:
        self.address = f"{LOOPBACK}:{free_ports(1)[0]}"
        variables = proxied.environment(listen=self.address, **(settings or {}))
        super().__init__(name, command or [f"services.{name}"], variables, proxied.folder)

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


def extractor_of(proxied: ProxiedStore) -> Service:
    return Service("extractor", proxied, command=["tests.faults.serve", str(PART_FRAMES)])


def client_of(retry_seconds: float = 300.0, **services: Service) -> Client:
    """Return a client; the services that are not given cannot be reached."""
    addresses = {f"{name}_address": service.address for name, service in services.items()}
    nowhere = {f"{name}_address": f"{LOOPBACK}:9" for name in ("extractor", "trainer", "converter")}
    return Client(read(ChannelSettings, **{**nowhere, **addresses}), retry_seconds=retry_seconds)
