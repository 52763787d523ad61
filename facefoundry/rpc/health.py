"""The standard health service, by which probes ask whether a server answers, and whether its threads do.

It tells faults of this process, which another replica may not have, from those of the store, which all of them share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING, TypeAlias

import grpc
from grpc_health.v1 import health, health_pb2

if TYPE_CHECKING:
    _Context: TypeAlias = grpc.aio.ServicerContext[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]

__all__ = ["Health"]

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_ANSWER_SECONDS = 1.0


class Health(health.aio.HealthServicer):  # type: ignore[misc]  # the package has no types
    """Serves health checks. It is made in the server's event loop.

    The server as a whole (the empty name) is healthy while its event loop answers. One of its services is healthy only
    if a thread that serves its calls is free within a second, too, or if the threads wait for the store: taking all
    replicas away would help nobody then, and callers would not learn why.

    Args:
        names: Names of the services.
        threads: Threads that serve the calls which must not wait.
        store_seconds: Returns for how long a thread has been waiting for the store.
        answer_seconds: How long a thread, or the store, may take.
        calling: Keeps the connection of a caller open during a block, by the caller's address.
    """

    def __init__(
        self,
        names: Sequence[str],
        threads: Executor,
        store_seconds: Callable[[], float] = lambda: 0.0,
        answer_seconds: float = _ANSWER_SECONDS,
        calling: Callable[[str], AbstractContextManager[None]] = lambda _: nullcontext(),
    ) -> None:
        super().__init__()
        self._calling = calling
        self._names, self._threads, self._answer_seconds = tuple(names), threads, answer_seconds
        self._store_seconds = store_seconds
        self._asked: asyncio.Future[None] | None = None

    async def serve(self) -> None:
        """Report that the server and its services serve."""
        for name in ("", *self._names):
            await self.set(name, _SERVING)

    async def Check(  # noqa: N802 (name given by the contract)
        self, request: health_pb2.HealthCheckRequest, context: _Context
    ) -> health_pb2.HealthCheckResponse:
        """Return the health of the server or of a service."""
        with self._calling(context.peer()):
            return await self._check(request, context)

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: _Context) -> None:  # noqa: N802 (the same)
        """Send the health of the server or of a service, now and whenever it changes."""
        with self._calling(context.peer()):
            await super().Watch(request, context)

    async def _check(self, request: health_pb2.HealthCheckRequest, context: _Context) -> health_pb2.HealthCheckResponse:
        found: health_pb2.HealthCheckResponse = await super().Check(request, context)
        if request.service not in self._names or found.status != _SERVING:
            return found
        if await self._thread_is_free() or self._store_seconds() > self._answer_seconds:
            return found
        return health_pb2.HealthCheckResponse(status=_NOT_SERVING)

    async def _thread_is_free(self) -> bool:
        """Ask a thread, and return whether it answers. All checks share one question."""
        with suppress(asyncio.TimeoutError, RuntimeError):  # the latter if the threads were shut down
            if self._asked is None or self._asked.done():
                self._asked = asyncio.wrap_future(self._threads.submit(lambda: None))
            await asyncio.wait_for(asyncio.shield(self._asked), self._answer_seconds)
            return True
        return False
