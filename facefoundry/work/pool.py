"""A pool of sandboxes. Their child processes stay between calls, with libraries loaded, and fork a process for each."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import grpc

from facefoundry.errors import Cancelled, Unusable
from facefoundry.process.sandbox import Isolation, Limits, Sandbox
from facefoundry.process.scratch import Scratch
from facefoundry.work.function import ENTRY_MODULE
from facefoundry.work.workspace import Workspace

__all__ = ["SandboxPool"]


class SandboxPool:
    """A pool of sandboxes for calls. It makes a sandbox when all others are in use, and keeps it for later calls.

    Args:
        limits: Limits of each sandbox.
        scratch: Makes the folder of each call.
        readable: Folders that the sandboxes may read, besides their own and those of programs and libraries.
        processes: Most processes and threads of this user; 0 for no limit.
        kernel: Whether to isolate sandboxes with Landlock and seccomp, where the kernel has them.
    """

    def __init__(
        self,
        limits: Limits,
        scratch: Scratch,
        *,
        readable: Sequence[Path] = (),
        processes: int = 0,
        kernel: bool = True,
    ) -> None:
        self._limits, self._scratch, self._readable = limits, scratch, tuple(readable)
        self._processes, self._kernel = processes, kernel
        self._idle: list[Sandbox] = []
        self._lock = threading.Lock()

    @contextmanager
    def acquire(self, context: grpc.ServicerContext, name: str = "") -> Iterator[tuple[Sandbox, Workspace]]:
        """Hold a sandbox, and new folders that its next runs may use, during the block.

        If the call ends before the block does, the sandbox's process is killed.

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
            with self._scratch.folder() as folder:
                workspace = Workspace(folder).create()
                sandbox.isolation = self._isolation(workspace)
                yield sandbox, workspace
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

    def _isolation(self, workspace: Workspace) -> Isolation:
        return Isolation(
            folder=workspace.folder,
            writable=(workspace.made,),
            temporary=workspace.temporary,
            readable=self._readable,
            processes=self._processes,
            kernel=self._kernel,
        )


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
                self._sandbox.close(at_once=True)  # the call keeps its slot meanwhile

    def end(self) -> None:
        with self._lock:
            self._over = True
