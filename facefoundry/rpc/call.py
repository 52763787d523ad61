"""A running call as its handler sees it, and what a handler of a stream can yield besides responses."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Call", "Pause"]


@dataclass(frozen=True)
class Pause:
    """A handler of a stream yields it to be continued later. Meanwhile the call holds no thread.

    The pause ends early when the service is asked to stop.

    Attributes:
        seconds: How long the handler waits.
    """

    seconds: float


class Call:
    """The context of a call: the methods of `grpc.ServicerContext` that handlers use.

    Args:
        peer: Address of the caller.
    """

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self._lock = threading.Lock()
        self._active = True
        self._callbacks: list[Callable[[], None]] = []

    def peer(self) -> str:
        """Return the address of the caller."""
        return self._peer

    def is_active(self) -> bool:
        """Return whether the caller still waits for the call."""
        return self._active

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Have a function called when the call ends; return False, and do not call it, if the call has ended."""
        with self._lock:
            if self._active:
                self._callbacks.append(callback)
            return self._active

    def end(self) -> list[Callable[[], None]]:
        """Mark the call as ended, and return the functions that must be called now."""
        with self._lock:
            self._active = False
            callbacks, self._callbacks = self._callbacks, []
        return callbacks
