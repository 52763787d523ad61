"""A pool of sandboxes. Their child processes keep running between calls, with their libraries loaded."""

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
    """A pool of sandboxes for calls. It makes a sandbox when all others are in use, and keeps it for later calls.

    Args:
        limits: Time and memory limits of each sandbox.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._idle: list[Sandbox] = []
        self._lock = threading.Lock()

    @contextmanager
    def acquire(self, context: grpc.ServicerContext, name: str = "") -> Iterator[Sandbox]:
        """Hold a sandbox during the block. If the call ends before the block does, the sandbox's process is killed.

        Args:
            context: The gRPC context of the call.
            name: Name of the clip to work on. It is added to errors that name no clip, such as the error of an exceeded
                limit.

        Raises:
            Cancelled: the call ended before the block did.
        """
        with self._lock:
            sandbox = self._idle.pop() if self._idle else Sandbox(self._limits, allow=[ENTRY_MODULE])
        lease = _Lease(sandbox)
        try:
            if not context.add_callback(lease.revoke):
                raise Cancelled("The caller cancelled the call.")
            yield sandbox
        except Unusable as error:
            if lease.revoked:
                raise Cancelled("The caller cancelled the call. Finished parts are kept.") from error
            if error.resource or not name:
                raise
            message = f"{name}: {error.message}"
            raise Unusable(message, reason=error.reason, metadata=error.metadata, resource=name) from error
        finally:
            lease.end()
            with self._lock:
                self._idle.append(sandbox)

    def close(self) -> None:
        """End the processes of all sandboxes that are not in use."""
        with self._lock:
            idle, self._idle = self._idle, []
        for sandbox in idle:
            sandbox.close()


class _Lease:
    """The use of a sandbox by one call. `revoke` kills the sandbox's process, unless `end` was called before."""

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
