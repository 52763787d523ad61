"""Child processes with time and memory limits, for work on hostile media. They can run any work.

A module-level generator function runs in a child. Its arguments and its messages are JSON values; its FaceFoundryErrors
reach the caller. The child's environment has no credentials, the child cannot read its parent's, and neither side
unpickles anything. The caller does all object storage.

    parent: Sandbox.run ── request line ──> child: call the function
            next()      <── one line per yielded message; the child waits while the pipe is full
            watchdog: kills the child's whole tree at the time or memory limit
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from types import TracebackType

from facefoundry.codec import JsonValue
from facefoundry.errors import Internal, from_record
from facefoundry.process.sandbox.child import Child
from facefoundry.process.sandbox.limits import Limits, library_variables
from facefoundry.process.sandbox.protocol import Request
from facefoundry.process.sandbox.watchdog import Watchdog

__all__ = ["Limits", "Sandbox", "library_variables"]


class Sandbox:
    """One child process, kept warm between runs; one run at a time, several sandboxes side by side.

    Example:
        with Sandbox(Limits(seconds=60, memory_bytes=2 << 30), allow=["services."]) as sandbox:
            for message in sandbox.run("services.example:count", path="/scratch/a.mp4"):
                ...
    """

    def __init__(self, limits: Limits, *, allow: Sequence[str]) -> None:
        """Prepare; the first run starts the child.

        Args:
            limits: What each run may use.
            allow: Prefixes of the module names that may run, such as `services.`.
        """
        self.limits = limits
        self._allow = tuple(allow)
        self._running = threading.Lock()
        self._child: Child | None = None

    def run(self, function: str, /, **arguments: JsonValue) -> Generator[JsonValue, None, None]:
        """Run `package.module:function` in the child and yield what it yields.

        Closing the iterator early kills the child. A run that returns or raises a FaceFoundryError leaves the child for
        the next run.

        Args:
            function: A module-level generator function, as `package.module:function`.
            arguments: Its keyword arguments.

        Raises:
            FaceFoundryError: the function raised it; same class and fields.
            Unusable: the child died (`MEDIA_CRASHED`) or passed a limit (`MEDIA_TIMEOUT`, `MEDIA_MEMORY`).
            Internal: the function's module is not allowed, or another run is in progress.
        """
        module, colon, name = function.partition(":")
        if not (colon and name.isidentifier() and module.startswith(self._allow)):
            raise Internal(
                f"A sandbox runs 'package.module:function' with a module below {list(self._allow)}. "
                f"Received function={function!r}.",
                reason="SANDBOX_FUNCTION",
            )
        return self._messages(Request(function, arguments))

    def close(self) -> None:
        """End the child, if any; a run in progress ends with `MEDIA_CRASHED`."""
        child, self._child = self._child, None
        if child is not None:
            child.close(at_once=self._running.locked())

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _messages(self, request: Request) -> Generator[JsonValue, None, None]:
        if not self._running.acquire(blocking=False):
            raise Internal("Another run of this sandbox is in progress; use one each.", reason="SANDBOX_BUSY")
        clean = False
        try:
            child = self._child
            if child is None or not child.alive():
                self.close()
                child = self._child = Child(self.limits)
            with Watchdog(child, self.limits) as watchdog:
                child.send(request)
                while True:
                    with watchdog.waiting():
                        reply = child.receive()
                    if reply is None:
                        raise watchdog.verdict() or child.crash()
                    if reply.is_last:
                        break
                    yield reply.message
            # The child is kept, unless it holds much memory or an unexpected error ended the run.
            clean = child.resident_bytes() <= self.limits.memory_bytes // 2
            if reply.error is not None:
                raise from_record(reply.error)
        finally:
            if not clean:
                self.close()
            self._running.release()
