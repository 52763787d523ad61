"""The stack of this machine: the object store and the three services, started together, shared, stopped in order.

Whoever comes first owns the stack and stops it; others join it. An owner that is killed takes all its processes along
(the kernel sees to it); what is left all the same is found and killed by the next start.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

import facefoundry
from facefoundry.errors import Unavailable, Unusable
from facefoundry.local.process import LOOPBACK, LocalProcess, free_ports
from facefoundry.local.state import RUN_VARIABLE, LocalFolder, ProcessId, State, User
from facefoundry.local.store import ObjectStore, loopback_settings
from facefoundry.settings import ChannelSettings, StoreSettings, read

__all__ = ["SERVICES", "Stack", "default_folder", "local_stack"]

SERVICES = ("extractor", "trainer", "converter")

_READY_SECONDS = 120.0
_STOP_SECONDS = 35.0
_POLL_SECONDS = 0.1
_WAIT_SECONDS = 0.5
# Where this stack's services listen and store is decided here, not by what a shell was set up for.
_OURS = (
    "FACEFOUNDRY_STORE_",
    "FACEFOUNDRY_TLS_",
    "FACEFOUNDRY_LISTEN",
    "FACEFOUNDRY_HEALTH_LISTEN",
    "FACEFOUNDRY_METRICS_LISTEN",
)


@dataclass(frozen=True)
class Stack:
    """A running stack.

    Attributes:
        folder: Its private folder; `logs/` is in there.
        store: How to reach its object store.
        addresses: gRPC address of each service.
        processes: Its processes by name.
        owned: Whether this process started it and stops it.
    """

    folder: Path
    store: StoreSettings
    addresses: dict[str, str]
    processes: dict[str, ProcessId]
    owned: bool

    @property
    def channels(self) -> ChannelSettings:
        """How to reach its services."""
        addresses = {f"{name}_address": address for name, address in self.addresses.items()}
        plaintext = {"ca_file": None, "client_cert_file": None, "client_key_file": None}
        return read(ChannelSettings).model_copy(update={**addresses, **plaintext})


def default_folder() -> Path:
    """`$FACEFOUNDRY_LOCAL_DIR`, else `facefoundry` in the folder of this user's data."""
    if chosen := os.environ.get("FACEFOUNDRY_LOCAL_DIR"):
        return Path(chosen)
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "facefoundry"


@contextmanager
def local_stack(
    folder: Path | None = None,
    *,
    start: bool = True,
    clone: Path | None = None,
    environment: Mapping[str, str] | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
    on_wait: Callable[[list[User]], None] = lambda _: None,
) -> Iterator[Stack]:
    """Join the stack of a folder, or start it and stop it in the end.

    Args:
        folder: Its private folder; `default_folder()` if not given.
        start: Start it when it does not run.
        clone: Folder that holds `services/`; found by itself if not given.
        environment: More variables for the services.
        on_progress: Gets a line whenever something starts, is ready or stops.
        on_wait: Gets the other users when the owner waits for them to finish, and whenever they change.

    Raises:
        Unavailable: a process did not start (the message has the end of its log), or nothing runs and `start` is False.
        Unusable: there is no clone, or no SeaweedFS.
    """
    place = LocalFolder((folder or default_folder()).expanduser().absolute())
    with ExitStack() as leaving:
        stack, owned, name = _join(place, leaving, start, clone, dict(environment or {}), on_progress)
        try:
            yield stack
        finally:
            if owned is not None:
                _stop_when_alone(place, owned, name, on_wait)


def _join(
    place: LocalFolder,
    leaving: ExitStack,
    start: bool,
    clone: Path | None,
    environment: dict[str, str],
    on_progress: Callable[[str], None],
) -> tuple[Stack, _Owned | None, str]:
    """The stack, what of it is ours to stop, and our name as its user until `leaving` is closed."""
    with place.lock():
        stack = _running(place)
        owned = None
        if stack is None:
            if not start:
                raise Unavailable(
                    f"No local stack runs in {place.path}. Start one with `facefoundry local`.",
                    reason="LOCAL_NOT_RUNNING",
                    resource=str(place.path),
                )
            owned = _Owned(place, _clone(clone), environment, on_progress)
            stack = owned.start()
        return stack, owned, leaving.enter_context(place.join())


def _running(place: LocalFolder) -> Stack | None:
    """The stack that runs there, if all of it does; else nothing runs afterwards."""
    state = place.read()
    if state is None:
        return None
    dead = [name for name, process in state.processes.items() if not process.alive()]
    if state.owner.alive() and state.ready:
        if dead:
            raise Unavailable(
                f"The local stack of {place.path} belongs to process {state.owner.pid}, but its {' and '.join(dead)} "
                f"ended; see {place.path / 'logs'}. End that process, then start again.",
                reason="LOCAL_PROCESS_ENDED",
                resource=dead[0],
            )
        return Stack(place.path, loopback_settings(**state.store), state.addresses, state.processes, owned=False)
    state.kill_survivors()
    place.clear()
    return None


def _clone(given: Path | None) -> Path:
    candidates = [given] if given else [Path(facefoundry.__file__).parents[1], Path.cwd()]
    for folder in candidates:
        if (folder / "services" / "__init__.py").is_file():
            return folder.absolute()
    raise Unusable(
        "The local stack starts the services, but there is no package `services` in "
        f"{' or '.join(str(folder) for folder in candidates)}. Run this in a clone of the repository, install "
        "facefoundry with the extra `local`, or name the addresses of services.",
        reason="NEEDS_CLONE",
    )


def _stop_when_alone(place: LocalFolder, owned: _Owned, name: str, on_wait: Callable[[list[User]], None]) -> None:
    """Stop the stack as soon as nobody else uses it; at once when interrupted meanwhile."""
    told: list[User] = []
    try:
        while True:
            with place.lock():
                others = place.other_users(name)
                if not others:
                    owned.stop()
                    return
            if others != told:
                on_wait(others)
                told = others
            time.sleep(_WAIT_SECONDS)
    except BaseException:
        with place.lock():
            owned.stop()
        raise


class _Owned:
    """The processes this process started. All methods are called under the folder's lock."""

    def __init__(
        self, place: LocalFolder, clone: Path, environment: dict[str, str], on_progress: Callable[[str], None]
    ) -> None:
        self._place = place
        self._clone = clone
        self._environment = environment
        self._on_progress = on_progress
        self._store = ObjectStore(place.path / "store", logs=place.path / "logs")
        self._services: dict[str, LocalProcess] = {}
        self._state = State(run=secrets.token_hex(16), owner=ProcessId.of(os.getpid()))

    def start(self) -> Stack:
        """Start everything side by side and wait until all of it answers."""
        begin = time.monotonic()
        self._on_progress("starting the object store, " + ", ".join(SERVICES))
        try:
            self._note({})
            self._store.launch({RUN_VARIABLE: self._state.run})
            self._note(self._store.processes)
            addresses = {
                name: f"{LOOPBACK}:{port}" for name, port in zip(SERVICES, free_ports(len(SERVICES)), strict=True)
            }
            for name, address in addresses.items():
                self._services[name] = self._launch(name, address)
            self._note(self._services)
            self._store.wait(meanwhile=self._check_services)
            self._note(self._store.processes)
            self._await_services(addresses)
        except BaseException:
            self.stop()
            raise
        self._state = State(
            run=self._state.run,
            owner=self._state.owner,
            processes=self._state.processes,
            store={
                "endpoint": self._store.settings.endpoint,
                "access_key": self._store.settings.access_key.get_secret_value(),
                "secret_key": self._store.settings.secret_key.get_secret_value(),
                "bucket": self._store.settings.bucket,
            },
            addresses=addresses,
            ready=True,
        )
        self._place.write(self._state)
        self._on_progress(f"ready after {time.monotonic() - begin:.1f} s")
        return Stack(self._place.path, self._store.settings, addresses, self._state.processes, owned=True)

    def stop(self) -> None:
        """Stop the services side by side, then the store they write to."""
        for service in self._services.values():
            service.ask_to_stop()
        deadline = time.monotonic() + _STOP_SECONDS
        try:
            for service in self._services.values():
                if not service.stop(max(0.0, deadline - time.monotonic())):
                    self._on_progress(f"the {service.name} did not stop in {_STOP_SECONDS:g} s and was killed")
        finally:
            for service in self._services.values():
                service.kill()
            self._services = {}
            self._store.stop()
            self._state.kill_survivors()
            self._place.clear()

    def _note(self, processes: Mapping[str, LocalProcess]) -> None:
        """Write down what runs, before it is ready, so that it is found if this process dies now."""
        self._state.processes.update({name: process.identity for name, process in processes.items()})
        self._place.write(self._state)

    def _launch(self, name: str, address: str) -> LocalProcess:
        scratch = self._place.path / "scratch" / name
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = self._store.settings
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(_OURS)}
        no_proxy = ",".join(filter(None, [inherited.get("no_proxy"), inherited.get("NO_PROXY"), LOOPBACK, "localhost"]))
        return LocalProcess(
            name,
            [sys.executable, "-m", f"services.{name}"],
            folder=self._clone,
            environment={
                **inherited,
                "no_proxy": no_proxy,
                "NO_PROXY": no_proxy,
                "PYTHONUNBUFFERED": "1",
                "FACEFOUNDRY_LISTEN": address,
                "FACEFOUNDRY_SCRATCH_DIR": str(scratch),
                "FACEFOUNDRY_STORE_ENDPOINT": settings.endpoint,
                "FACEFOUNDRY_STORE_ACCESS_KEY": settings.access_key.get_secret_value(),
                "FACEFOUNDRY_STORE_SECRET_KEY": settings.secret_key.get_secret_value(),
                "FACEFOUNDRY_STORE_BUCKET": settings.bucket,
                **self._environment,
                RUN_VARIABLE: self._state.run,
            },
            log=self._place.path / "logs" / f"{name}.log",
        )

    def _check_services(self) -> None:
        for service in self._services.values():
            service.check()

    def _await_services(self, addresses: dict[str, str]) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        for name, address in addresses.items():
            with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
                health = health_pb2_grpc.HealthStub(channel)
                while not _serving(health):
                    self._check_services()
                    if time.monotonic() > deadline:
                        process = self._services[name]
                        raise Unavailable(
                            f"The {name} did not answer in {_READY_SECONDS:g} s. "
                            f"The end of {process.log}:\n{process.log_tail()}",
                            reason="LOCAL_START_FAILED",
                            resource=name,
                        )
                    time.sleep(_POLL_SECONDS)


def _serving(health: health_pb2_grpc.HealthStub) -> bool:
    try:
        answer = health.Check(health_pb2.HealthCheckRequest(service=""), timeout=1.0)
    except grpc.RpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
