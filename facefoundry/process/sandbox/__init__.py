"""Sandboxes: child processes with time and memory limits, for work on files from strangers.

A sandbox runs a module-level generator function in its child process. The arguments and messages of the function are
JSON values, and the FaceFoundryErrors that it raises reach the caller. The child's environment has no credentials, and
the child cannot read its parent's. Neither side unpickles anything. Only the parent accesses the object store. With an
`Isolation` the child opens no files but its own and no sockets, as far as the kernel can forbid it.

    parent: Sandbox.run ── request line ──> child: call the function
            next()      <── one line per yielded message; the child waits while the pipe is full
            watchdog: kills the child and its descendants at the time or memory limit
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from types import TracebackType

from facefoundry.codec import JsonValue
from facefoundry.errors import Internal, from_record
from facefoundry.process.sandbox.child import Child
from facefoundry.process.sandbox.isolation import Isolation
from facefoundry.process.sandbox.limits import Limits, library_variables
from facefoundry.process.sandbox.protocol import Request
from facefoundry.process.sandbox.watchdog import Watchdog

__all__ = ["Isolation", "Limits", "Sandbox", "library_variables"]


class Sandbox:
    """A child process that runs functions, one at a time. Between calls it keeps running, with its libraries loaded.

    Example:
        with Sandbox(Limits(seconds=60, memory_bytes=2 << 30), allow=["services."]) as sandbox:
            for message in sandbox.run("services.example:count", path="/scratch/a.mp4"):
                ...
    """

    def __init__(self, limits: Limits, *, allow: Sequence[str], isolation: Isolation | None = None) -> None:
        """Prepare the sandbox. The first call of `run` starts the child process.

        Args:
            limits: Time and memory that each run may use.
            allow: Prefixes of the modules whose functions may run, such as `services.`.
            isolation: What the child may do besides computing; None to restrict it by its limits alone.
        """
        self.limits = limits
        self._isolation = isolation
        self._allow = tuple(allow)
        self._running = threading.Lock()
        self._child: Child | None = None

    def run(self, function: str, /, **arguments: JsonValue) -> Generator[JsonValue, None, None]:
        """Run a function in the child process and yield its messages.

        Closing the iterator early kills the child. After a run that returns or raises a FaceFoundryError, the child
        stays for the next run, unless it uses more than half of its memory limit.

        Args:
            function: A module-level generator function, as `package.module:function`.
            arguments: Its keyword arguments.

        Raises:
            FaceFoundryError: the function raised this error; class and fields are the same as in the child.
            Unusable: the child died (`MEDIA_CRASHED`) or exceeded a limit (`MEDIA_TIMEOUT`, `MEDIA_MEMORY`,
                `MEDIA_DISK`).
            Internal: the function's module is not allowed, or another run is in progress.
        """
        module, colon, name = function.partition(":")
        if not (colon and name.isidentifier() and module.startswith(self._allow)):
            raise Internal(
                f"Expected 'package.module:function' with a module that starts with one of {list(self._allow)}. "
                f"Received function={function!r}.",
                reason="SANDBOX_FUNCTION",
            )
        return self._messages(Request(function, arguments))

    def cpu_seconds(self) -> float:
        """Return the CPU time of the child process since it started; 0 if there is none."""
        child = self._child
        return child.cpu_seconds() if child is not None else 0.0

    def close(self, *, at_once: bool = False) -> None:
        """End the child process, if there is one. A run in progress raises `MEDIA_CRASHED`.

        Args:
            at_once: Whether to kill a child between two runs too, instead of first giving it 2 seconds to end.
        """
        child, self._child = self._child, None
        if child is not None:
            child.close(at_once=at_once or self._running.locked())

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _messages(self, request: Request) -> Generator[JsonValue, None, None]:
        if not self._running.acquire(blocking=False):
            raise Internal(
                "This sandbox is running another function. Use one sandbox for each run at the same time.",
                reason="SANDBOX_BUSY",
            )
        clean = False
        try:
            child = self._child
            if child is None or not child.alive():
                self.close()
                child = self._child = Child(self.limits, self._isolation)
            with Watchdog(child, self.limits, self._isolation) as watchdog:
                child.send(request)
                while True:
                    with watchdog.waiting():
                        reply = child.receive()
                    if reply is None:
                        raise watchdog.verdict() or child.crash()
                    if reply.is_last:
                        break
                    yield reply.message
            # The child is kept, unless it uses much memory or an unexpected error ended the run.
            clean = child.resident_bytes() <= self.limits.memory_bytes // 2
            if reply.error is not None:
                raise from_record(reply.error)
        finally:
            if not clean:
                self.close()
            self._running.release()
