"""The gRPC server of all three services: addresses, health, reflection, TLS, metrics and draining.

Draining is what the server does between SIGTERM and its end: it refuses new work and gives running calls time to end.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import grpc
import prometheus_client
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2_grpc

from facefoundry.errors import FaceFoundryError, InvalidInput
from facefoundry.process.sandbox.isolation import Available, available
from facefoundry.process.signals import stop_event
from facefoundry.rpc.calls import REQUEST_SECONDS, RESPONSE_SECONDS, Calls
from facefoundry.rpc.health import Health
from facefoundry.rpc.idle import IdleConnections
from facefoundry.rpc.info import InfoServicer
from facefoundry.rpc.lanes import Lanes
from facefoundry.rpc.loop import await_in_loop
from facefoundry.rpc.reflection import reflection_handlers
from facefoundry.rpc.slots import Slots
from facefoundry.rpc.upkeep import give_back_memory, repeat
from facefoundry.settings import ServerSettings
from facefoundry.storage.store import Store
from facefoundry.telemetry import logger
from facefoundry.v1 import info_pb2, info_pb2_grpc

__all__ = ["Server", "exit_code"]

_EXIT_SECONDS = 2.0
# gRPC itself refuses larger messages, as if the replica were full; smaller ones get an answer of `Calls`.
_ANSWERED_BYTES = 16 << 20
# Clients may send keepalive pings every 10 s; half of that leaves room for pings that the network delays.
_PING_MILLISECONDS = 5_000
# Calls at once on one connection; gRPC's clients hold further ones back.
_STREAMS_PER_CONNECTION = 256
_IDLE_EVERY_SECONDS = 0.25  # a flood opens 3,000 connections a second
_MEMORY_EVERY_SECONDS = 2.0
_log = logger(__name__)


class Server:
    """The gRPC server of a service.

    Args:
        name: `extractor`, `trainer` or `converter`.
        settings: Settings of the server.
        store: The object store; the server starts even if the store does not answer.
        full_name: Full name of the gRPC service, such as `facefoundry.v1.ExtractorService`, for health and reflection.
        engines: Returns the names that GetInfo lists as engines: the extractor's engines, or the trainer's backend.
        request_seconds: How long a caller may take to send its request.
        response_seconds: How long a caller may take for one response.
        idle: Closes idle connections; by default those beyond 256 of a host.

    Attributes:
        slots: Limits how many heavy calls run at once.
        draining: Set when the server is stopping; handlers then finish their current part and raise Interrupted.
        port: The port that the server listens on; 0 before `start`.
    """

    def __init__(
        self,
        name: str,
        settings: ServerSettings,
        store: Store,
        full_name: str,
        engines: Callable[[], Sequence[str]] = tuple,
        request_seconds: float = REQUEST_SECONDS,
        response_seconds: float = RESPONSE_SECONDS,
        idle: IdleConnections | None = None,
    ) -> None:
        self.name = name
        self._request_seconds, self._response_seconds = request_seconds, response_seconds
        self._idle = idle or IdleConnections()
        self.settings = settings
        self._store = store
        self.slots = Slots(name, settings.slots)
        self.draining = threading.Event()
        self.port = 0
        self._names = [full_name, info_pb2.DESCRIPTOR.services_by_name["InfoService"].full_name]
        self._lanes = Lanes(name, settings.threads)
        self._handlers = _Handlers()
        self._running: _Running | None = None
        isolation = Available(0, False) if settings.sandbox_isolation == "off" else available()
        info = InfoServicer(name, store, self.slots, engines, isolation)
        self.add(lambda grpc_server: info_pb2_grpc.add_InfoServiceServicer_to_server(info, grpc_server))

    def add(self, register: Callable[[grpc.Server], None]) -> None:
        """Add a servicer.

        Args:
            register: Adds the servicer to a server, such as `partial(add_ExtractorServiceServicer_to_server,
                servicer)`.
        """
        register(cast("grpc.Server", self._handlers))

    def start(self) -> int:
        """Start to serve, report SERVING to health checks, and return the port.

        Raises:
            InvalidInput: an address cannot be bound or a TLS file cannot be read.
        """
        credentials = self._credentials()
        self._running = await_in_loop(self._start(credentials))
        if self.settings.metrics_listen:
            host, _, port = self.settings.metrics_listen.rpartition(":")
            prometheus_client.start_http_server(int(port), host or "0.0.0.0")
        _log.event("serving", port=self.port, tls=credentials is not None, slots=self.slots.number)
        return self.port

    async def _start(self, credentials: grpc.ServerCredentials | None) -> _Running:
        settings = self.settings
        waits = self._request_seconds, self._response_seconds
        calling, quick = self._idle.calling, self._lanes.quick
        calls = Calls(self.name, self._lanes, settings.max_message_bytes, *waits, calling)
        checks = Health(self._names, quick.threads, lambda: self._store.longest_wait(quick.ids), calling=calling)
        server = grpc.aio.server(options=self._options())
        health_pb2_grpc.add_HealthServicer_to_server(checks, server)
        if settings.reflection:
            server.add_generic_rpc_handlers(reflection_handlers([*self._names, health.SERVICE_NAME], calling))
        for service, handlers in self._handlers.by_service.items():
            made = {method: calls.handler(f"/{service}/{method}", handlers[method]) for method in handlers}
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, made),))
        self.port = self._bind(server, settings.listen, credentials)
        probes = None
        if settings.health_listen:
            probes = grpc.aio.server()
            health_pb2_grpc.add_HealthServicer_to_server(checks, probes)
            self._bind(probes, settings.health_listen, None)
            await probes.start()
        await server.start()
        await checks.serve()
        upkeep = (
            asyncio.create_task(repeat(self._close_idle, _IDLE_EVERY_SECONDS, self._lanes.ended)),
            asyncio.create_task(repeat(give_back_memory, _MEMORY_EVERY_SECONDS, self._lanes.ended)),
        )
        return _Running(server, probes, checks, calls, upkeep)

    def _close_idle(self) -> None:
        closed = self._idle.close(self.port)
        if closed:
            _log.warning("idle_connections_closed", number=closed)

    def stop(self) -> None:
        """Report NOT_SERVING to health checks, wait up to `drain_seconds` for running calls, then cancel them."""
        if self._running is None or self.draining.is_set():
            return
        await_in_loop(self._running.checks.enter_graceful_shutdown())
        self.draining.set()
        _log.event("draining", slots_in_use=self.slots.in_use)
        await_in_loop(self._running.stop(self.settings.drain_seconds))
        self._lanes.close()
        _log.event("stopped")

    def run(self, close: Callable[[], None] = lambda: None) -> None:
        """Start, serve until SIGTERM or SIGINT, drain, and close. Call this from the main thread.

        A cancelled call may still occupy a thread, for example with a request to a store that does not answer. Then
        this function exits the process with code 0, because Python itself would wait for the thread.

        Args:
            close: Called after the drain; closes what the handlers used.
        """
        stopping = stop_event()
        self.start()
        stopping.wait()
        self.stop()
        close()
        self._exit_without_stuck_threads()

    def _exit_without_stuck_threads(self) -> None:
        deadline = time.monotonic() + _EXIT_SECONDS
        for thread in threading.enumerate():
            if thread.name.startswith("call-"):
                thread.join(max(0.0, deadline - time.monotonic()))
                if thread.is_alive():
                    _log.warning("calls_abandoned")
                    sys.stdout.flush()
                    sys.stderr.flush()
                    os._exit(0)

    def _options(self) -> list[tuple[str, int]]:
        settings = self.settings
        return [
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", max(settings.max_message_bytes, _ANSWERED_BYTES)),
            ("grpc.max_send_message_length", settings.max_message_bytes),
            ("grpc.max_connection_age_ms", int(settings.max_connection_age_seconds * 1000)),
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.http2.min_ping_interval_without_data_ms", _PING_MILLISECONDS),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.max_concurrent_streams", _STREAMS_PER_CONNECTION),
            ("grpc.enable_channelz", 0),  # it costs memory for each connection, and nothing serves it
        ]

    def _bind(self, server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> int:
        try:
            if credentials is None:
                port = server.add_insecure_port(address)
            else:
                port = server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise InvalidInput(
                f"Cannot listen on {address!r}: {error}. Choose another address.", reason="LISTEN"
            ) from error
        if port == 0:
            raise InvalidInput(f"Cannot listen on {address!r}. Is the port in use?", reason="LISTEN")
        return port

    def _credentials(self) -> grpc.ServerCredentials | None:
        """Return TLS credentials; None without TLS. Files are read for each new connection, so they can be replaced."""
        settings = self.settings
        if settings.tls_cert_file is None and settings.tls_key_file is None:
            if settings.tls_client_ca_file is not None:
                raise InvalidInput(
                    "FACEFOUNDRY_TLS_CLIENT_CA_FILE also needs FACEFOUNDRY_TLS_CERT_FILE and FACEFOUNDRY_TLS_KEY_FILE. "
                    "Set all three.",
                    reason="TLS",
                )
            return None
        if settings.tls_cert_file is None or settings.tls_key_file is None:
            raise InvalidInput(
                "TLS needs both FACEFOUNDRY_TLS_CERT_FILE and FACEFOUNDRY_TLS_KEY_FILE. Set both or none.", reason="TLS"
            )
        cert_file, key_file, ca_file = settings.tls_cert_file, settings.tls_key_file, settings.tls_client_ca_file

        def configuration() -> grpc.ServerCertificateConfiguration:
            authority = _read_pem(ca_file) if ca_file else None
            return grpc.ssl_server_certificate_configuration([(_read_pem(key_file), _read_pem(cert_file))], authority)

        newest = configuration()

        def renewed() -> grpc.ServerCertificateConfiguration:
            nonlocal newest
            try:
                newest = configuration()
            except InvalidInput as error:
                _log.warning("certificate_unreadable", detail=error.message)
            return newest

        return grpc.dynamic_ssl_server_credentials(newest, renewed, require_client_authentication=ca_file is not None)


class _Handlers:
    """Takes the handlers of servicers in the place of a server: the generated functions hand them over."""

    def __init__(self) -> None:
        self.by_service: dict[str, Mapping[str, grpc.RpcMethodHandler[Message, Message]]] = {}

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Take nothing: the same handlers come by name."""

    def add_registered_method_handlers(
        self, service: str, handlers: Mapping[str, grpc.RpcMethodHandler[Message, Message]]
    ) -> None:
        """Take the handlers of a service, by method."""
        self.by_service[service] = handlers


@dataclass(frozen=True)
class _Running:
    """What serves after the start: the server, that of probes, and what they share."""

    server: grpc.aio.Server
    probes: grpc.aio.Server | None
    checks: Health
    calls: Calls
    upkeep: tuple[asyncio.Task[None], ...]

    async def stop(self, grace_seconds: float) -> None:
        """Accept no more calls, end all pauses, and cancel calls that still run after some time."""
        for task in self.upkeep:
            task.cancel()
        self.calls.stop()
        await self.server.stop(grace_seconds)
        if self.probes is not None:
            await self.probes.stop(None)


def exit_code(error: FaceFoundryError) -> int:
    """Print why a service ends, and return its exit code: 2 for wrong settings, 1 for other errors."""
    print(error.message, file=sys.stderr)
    return 2 if isinstance(error, InvalidInput) else 1


def _read_pem(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"Cannot read the TLS file {path}: {error.strerror}. Check its path and permissions.", reason="TLS"
        ) from error
