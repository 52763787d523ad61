"""Starts, shares and stops the local stack: the object store and the three services on this machine.

The first command starts the stack, owns it and stops it. Other commands join it as users. If the owner is killed, the
kernel kills the processes of the stack too. If any survive, the next start finds and kills them.
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
_USERS_SECONDS = 0.5
# The stack sets these variables itself; values from the user's environment must not reach its services.
_OWN_VARIABLES = (
    "FACEFOUNDRY_STORE_",
    "FACEFOUNDRY_TLS_",
    "FACEFOUNDRY_LISTEN",
    "FACEFOUNDRY_HEALTH_LISTEN",
    "FACEFOUNDRY_METRICS_LISTEN",
)


@dataclass(frozen=True)
class Stack:
    """A running local stack.

    Attributes:
        folder: Folder of the stack; the logs are in its folder `logs`, and `variables` in its file `stack.env`.
        store: Settings of the object store.
        addresses: gRPC address of each service, by name.
        processes: The processes of the stack, by name.
        owned: Whether this process started the stack and will stop it.
    """

    folder: Path
    store: StoreSettings
    addresses: dict[str, str]
    processes: dict[str, ProcessId]
    owned: bool

    @property
    def channels(self) -> ChannelSettings:
        """Settings with which a client reaches the services."""
        addresses = {f"{name}_address": address for name, address in self.addresses.items()}
        plaintext = {"ca_file": None, "client_cert_file": None, "client_key_file": None}
        return read(ChannelSettings).model_copy(update={**addresses, **plaintext})

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables by which other programs reach store and services, including the store's secret key."""
        return {
            "FACEFOUNDRY_STORE_ENDPOINT": f"http://{self.store.endpoint}",  # other programs need the scheme
            "FACEFOUNDRY_STORE_ACCESS_KEY": self.store.access_key.get_secret_value(),
            "FACEFOUNDRY_STORE_SECRET_KEY": self.store.secret_key.get_secret_value(),
            "FACEFOUNDRY_STORE_BUCKET": self.store.bucket,
            **{f"FACEFOUNDRY_{name.upper()}_ADDRESS": address for name, address in self.addresses.items()},
        }


def default_folder() -> Path:
    """Return the folder of the local stack: `$FACEFOUNDRY_LOCAL_DIR`, or else `~/.local/share/facefoundry`.

    `$XDG_DATA_HOME` replaces `~/.local/share`.
    """
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
    """Join the running local stack of a folder, or start it and stop it after the block.

    Args:
        folder: Folder of the stack; by default `default_folder()`.
        start: Whether to start the stack if it does not run.
        clone: Folder that contains the package `services`; by default the folder that contains `facefoundry`, or the
            working directory.
        environment: Additional environment variables for the services.
        on_progress: Called with a line for the user when something starts, is ready or stops.
        on_wait: Called with the other users while the owner waits for them to end, and again when they change.

    Raises:
        Unavailable: a process did not start (the message contains the end of its log), or no stack runs and `start` is
            False.
        Unusable: the services or SeaweedFS are not installed.
    """
    local = LocalFolder((folder or default_folder()).expanduser().absolute())
    with ExitStack() as membership:
        stack, owned, name = _join(local, membership, start, clone, dict(environment or {}), on_progress)
        try:
            yield stack
        finally:
            if owned is not None:
                _stop_when_alone(local, owned, name, on_wait)


def _join(
    local: LocalFolder,
    membership: ExitStack,
    start: bool,
    clone: Path | None,
    environment: dict[str, str],
    on_progress: Callable[[str], None],
) -> tuple[Stack, _Owned | None, str]:
    """Join or start the stack.

    Returns:
        (stack, owned, user): `owned` are the processes that this process must stop, None if it joined a running stack.
        `user` is the id of this process as a user, valid until `membership` closes.
    """
    with local.lock():
        stack = _running(local)
        owned = None
        if stack is None:
            if not start:
                raise Unavailable(
                    f"No local stack runs in {local.path}. Start one with `facefoundry local`.",
                    reason="LOCAL_NOT_RUNNING",
                    resource=str(local.path),
                )
            owned = _Owned(local, _clone(clone), environment, on_progress)
            stack = owned.start()
        return stack, owned, membership.enter_context(local.join())


def _running(local: LocalFolder) -> Stack | None:
    """Return the running stack of a folder. If only some of its processes run, kill them and return None.

    Raises:
        Unavailable: a process has ended while the owner of the stack still runs (LOCAL_PROCESS_ENDED).
    """
    state = local.read()
    if state is None:
        return None
    dead = [name for name, process in state.processes.items() if not process.alive()]
    if state.owner.alive() and state.ready:
        if dead:
            raise Unavailable(
                f"The {' and '.join(dead)} of the local stack of {local.path} ended; see {local.path / 'logs'}. "
                f"Stop the owner of the stack, process {state.owner.pid}, and start again.",
                reason="LOCAL_PROCESS_ENDED",
                resource=dead[0],
            )
        return Stack(local.path, loopback_settings(**state.store), state.addresses, state.processes, owned=False)
    state.kill_survivors()
    local.clear()
    return None


def _clone(given: Path | None) -> Path:
    candidates = [given] if given else [Path(facefoundry.__file__).parents[1], Path.cwd()]
    for folder in candidates:
        if (folder / "services" / "__init__.py").is_file():
            return folder.absolute()
    raise Unusable(
        "The local stack needs the package `services`, which is not in "
        f"{' or '.join(str(folder) for folder in candidates)}. Run this in a clone of the repository, install "
        "facefoundry with the extra `local`, or give the addresses of running services.",
        reason="NEEDS_CLONE",
    )


def _stop_when_alone(local: LocalFolder, owned: _Owned, name: str, on_wait: Callable[[list[User]], None]) -> None:
    """Wait until no other command uses the stack, then stop the stack. If interrupted, stop the stack immediately."""
    reported: list[User] = []
    try:
        while True:
            with local.lock():
                others = local.other_users(name)
                if not others:
                    owned.stop()
                    return
            if others != reported:
                on_wait(others)
                reported = others
            time.sleep(_USERS_SECONDS)
    except BaseException:
        with local.lock():
            owned.stop()
        raise


class _Owned:
    """The processes of a stack that this process has started. Hold the lock of the folder to call its methods."""

    def __init__(
        self, local: LocalFolder, clone: Path, environment: dict[str, str], on_progress: Callable[[str], None]
    ) -> None:
        self._local = local
        self._clone = clone
        self._environment = environment
        self._on_progress = on_progress
        self._store = ObjectStore(local.path / "store", logs=local.path / "logs")
        self._services: dict[str, LocalProcess] = {}
        self._state = State(run=secrets.token_hex(16), owner=ProcessId.of(os.getpid()))

    def start(self) -> Stack:
        """Start all processes, and wait until all of them answer."""
        begin = time.monotonic()
        self._on_progress("starting the object store, " + ", ".join(SERVICES))
        try:
            self._record({})
            self._store.launch({RUN_VARIABLE: self._state.run})
            self._record(self._store.processes)
            ports = free_ports(len(SERVICES), chosen=self._store.ports)
            addresses = {name: f"{LOOPBACK}:{port}" for name, port in zip(SERVICES, ports, strict=True)}
            for name, address in addresses.items():
                self._services[name] = self._launch(name, address)
            self._record(self._services)
            self._store.wait(meanwhile=self._check_services)
            self._record(self._store.processes)
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
        stack = Stack(self._local.path, self._store.settings, addresses, self._state.processes, owned=True)
        self._local.write_variables(stack.variables)
        self._local.write(self._state)
        self._on_progress(f"ready after {time.monotonic() - begin:.1f} s")
        return stack

    def stop(self) -> None:
        """Stop all services at the same time, then the object store, to which services write until they end."""
        for service in self._services.values():
            service.terminate()
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
            self._local.clear()

    def _record(self, processes: Mapping[str, LocalProcess]) -> None:
        """Save the ids of started processes. If this process dies before they are ready, the next start finds them."""
        self._state.processes.update({name: process.identity for name, process in processes.items()})
        self._local.write(self._state)

    def _launch(self, name: str, address: str) -> LocalProcess:
        scratch = self._local.path / "scratch" / name
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = self._store.settings
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(_OWN_VARIABLES)}
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
            log=self._local.path / "logs" / f"{name}.log",
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
                            f"The {name} did not answer within {_READY_SECONDS:g} s. "
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
