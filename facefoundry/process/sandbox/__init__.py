"""Child processes with time and memory limits, for work on hostile media. It knows nothing of what the work is.

A module-level generator function runs in a child; its arguments and what it yields are JSON values, its errors are
ours. The child's environment has no credentials and it cannot read its parent's, and neither side unpickles anything.
The caller does all object storage.

    parent: Sandbox.run ── request line ──> child: call the function
            next()      <── one line per yielded message; the child waits while the pipe is full
            watchdog: kills the child's whole tree at the time or memory limit
"""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Sequence
from types import TracebackType
from typing import Any

from facefoundry.codec import from_values
from facefoundry.errors import ErrorRecord, Internal, from_record
from facefoundry.process.sandbox.child import Child
from facefoundry.process.sandbox.limits import Limits, library_variables
from facefoundry.process.sandbox.watchdog import Watchdog

__all__ = ["Limits", "Sandbox", "library_variables"]


class Sandbox:
    """One child process, kept warm between runs; one run at a time, several sandboxes side by side.

    Example:
        with Sandbox(Limits(seconds=60, memory_bytes=2 << 30)) as sandbox:
            for message in sandbox.run("services.extractor.pipeline:inspect", source=["/scratch/a.mp4"], ...):
                ...
    """

    def __init__(self, limits: Limits, *, allow: Sequence[str] = ("services.",)) -> None:
        """Prepare without starting anything.

        Args:
            limits: What each run may use.
            allow: Prefixes of the module names that may run.
        """
        self.limits = limits
        self._allow = tuple(allow)
        self._running = threading.Lock()
        self._child: Child | None = None

    def run(self, target: str, **arguments: Any) -> Generator[Any, None, None]:
        """Run `package.module:function` in the child and yield what it yields.

        Closing the iterator early kills the child. After a run that ended, well or with an error of ours, the child is
        kept for the next one.

        Args:
            target: A module-level generator function.
            arguments: Its keyword arguments; JSON values.

        Raises:
            FaceFoundryError: the function raised it; same class and fields.
            Unusable: the child died (`MEDIA_CRASHED`) or passed a limit (`MEDIA_TIMEOUT`, `MEDIA_MEMORY`).
            Internal: the target is not allowed, or this sandbox runs something already.
        """
        module, colon, function = target.partition(":")
        if not (colon and function.isidentifier() and module.startswith(self._allow)):
            raise Internal(
                f"A sandbox runs 'package.module:function' with a module below {list(self._allow)}. "
                f"Received target={target!r}.",
                reason="SANDBOX_TARGET",
            )
        request = json.dumps({"target": target, "arguments": arguments}).encode() + b"\n"
        return self._messages(request)

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

    def _messages(self, request: bytes) -> Generator[Any, None, None]:
        if not self._running.acquire(blocking=False):
            raise Internal("This sandbox runs something already; use one sandbox per run.", reason="SANDBOX_BUSY")
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
                        record = child.receive()
                    if record is None:
                        raise watchdog.verdict() or child.crash()
                    if "message" not in record:
                        break
                    yield record["message"]
            # An error of ours ends a run as well as its last message does; only what is unexpected costs the child.
            clean = child.resident_bytes() <= self.limits.memory_bytes // 2
            if "error" in record:
                raise from_record(from_values(ErrorRecord, record["error"]))
        finally:
            if not clean:
                self.close()
            self._running.release()
