"""HTTP/1.1 for many viewers: connections that ask for nothing are closed, so that they keep nobody out."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["LimitedProtocol"]


class LimitedProtocol(H11Protocol):
    """A connection that is closed if it sends no request in time, or if there are too many.

    Attributes:
        request_seconds: How long a new connection, or one that began a request, may take to send its head.
        max_connections: With more, the one is closed that never asked, or else that has waited longest for a request.
    """

    request_seconds: ClassVar[float] = 10.0
    max_connections: ClassVar[int] = 512

    _timer: asyncio.TimerHandle | None = None
    _waits_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for the first request."""
        super().connection_made(transport)
        self._wait()
        waiting = [found for found in self.connections if isinstance(found, LimitedProtocol) and found.is_waiting]
        if len(self.connections) > self.max_connections and waiting:
            min(waiting, key=lambda found: (found.cycle is not None, found._waits_since)).transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request. Its first part does not prolong the time for the others."""
        super().data_received(data)
        if not self.is_waiting:
            self._stop_waiting()
        elif self._timer is None:
            self._wait()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._waits_since = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    @property
    def is_waiting(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        self._waits_since = self.loop.time()
        self._timer = self.loop.call_later(self.request_seconds, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
