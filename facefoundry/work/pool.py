"""Sandboxes that stay warm between calls; the child of a call that ends early is killed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from facefoundry.errors import Cancelled, Unusable
from facefoundry.process.sandbox import Limits, Sandbox
from facefoundry.work.function import ENTRY_MODULE

__all__ = ["SandboxPool"]


class SandboxPool:
    """Sandboxes that run targets; the pool grows to the number that were in use at once."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._idle: list[Sandbox] = []
        self._lock = threading.Lock()

    @contextmanager
    def acquire(self, context: grpc.ServicerContext, name: str = "") -> Iterator[Sandbox]:
        """Hold a sandbox for the time of the block; its child is killed as soon as the call ends, however it ends.

        Args:
            context: The call.
            name: Clip that is worked on, for errors that do not name it, such as that of a child killed at a limit.

        Raises:
            Cancelled: the call was gone before the block was done.
        """
        with self._lock:
            sandbox = self._idle.pop() if self._idle else Sandbox(self._limits, allow=[ENTRY_MODULE])
        lease = _Lease(sandbox)
        try:
            if not context.add_callback(lease.revoke):
                raise Cancelled("The caller is gone.")
            yield sandbox
        except Unusable as error:
            if lease.revoked:
                raise Cancelled("The caller is gone; finished parts are kept.") from error
            if error.resource or not name:
                raise
            message = f"{name}: {error.message}"
            raise Unusable(message, reason=error.reason, metadata=error.metadata, resource=name) from error
        finally:
            lease.end()
            with self._lock:
                self._idle.append(sandbox)

    def close(self) -> None:
        """Kill all children that are not in use."""
        with self._lock:
            idle, self._idle = self._idle, []
        for sandbox in idle:
            sandbox.close()


class _Lease:
    """Kills the child when the call ends early; harmless when the call ends after the lease."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._lock = threading.Lock()
        self._over = False
        self.revoked = False

    def revoke(self) -> None:
        with self._lock:
            if not self._over:
                self.revoked = True
                self._sandbox.close()

    def end(self) -> None:
        with self._lock:
            self._over = True
