"""Sandboxes: child processes with time and memory limits, for work on files from strangers.

A sandbox runs a module-level generator function in its child process. The arguments and messages of the function are
JSON values, and the FaceFoundryErrors that it raises reach the caller. The child's environment has no credentials, and
the child cannot read its parent's. Neither side unpickles anything. Only the parent accesses the object store. With an
`Isolation` a run opens no files but its own and no sockets, as far as the kernel can forbid it.

The child only loads what its runs share. Each run has a process of its own, which the child forks: it begins with
libraries and weights of engines loaded, and with nothing of another run in its memory.

    parent: Sandbox.run ── request line ──> child: load, fork ──> run: give up rights, call the function
            next()      <── one line per yielded message; the run waits while the pipe is full
            watchdog: kills the child and its descendants at the time or memory limit of the run
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
from facefoundry.process.sandbox.output import Output
from facefoundry.process.sandbox.protocol import Call, Request
from facefoundry.process.sandbox.run import Run
from facefoundry.process.sandbox.watchdog import Watchdog

__all__ = ["Call", "Isolation", "Limits", "Sandbox", "library_variables"]


class Sandbox:
    """A child process that runs functions, one at a time. Between runs it stays, with libraries loaded.

    Attributes:
        limits: Time and memory that each run may use.
        isolation: What the next run may do besides computing; None to restrict it by its limits alone.

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
            isolation: What the next run may do besides computing; None to restrict it by its limits alone.
        """
        self.limits, self.isolation = limits, isolation
        self._allow = tuple(allow)
        self._running = threading.Lock()
        self._child: Child | None = None

    def run(
        self, function: str, prepare: Call | None = None, /, **arguments: JsonValue
    ) -> Generator[JsonValue, None, None]:
        """Run a function in a process of its own and yield its messages.

        Closing the iterator early kills it. After a run that returns or raises a FaceFoundryError, the child stays for
        the next run, unless it uses more than half of its memory limit.

        Args:
            function: A module-level generator function, as `package.module:function`.
            prepare: A function of an allowed module, which the child calls before it forks: it loads what this run and
                later ones share. It must start no threads and read nothing that others made. The child ignores its
                errors.
            arguments: Its keyword arguments.

        Raises:
            FaceFoundryError: the function raised this error; class and fields are the same as in the child.
            Unusable: the child died (`MEDIA_CRASHED`) or exceeded a limit (`MEDIA_TIMEOUT`, `MEDIA_MEMORY`,
                `MEDIA_DISK`).
            Internal: the function's module is not allowed, or another run is in progress.
        """
        for called in (function, *([prepare.function] if prepare else [])):
            self._require(called)
        return self._messages(Request(Call(function, arguments), prepare, self.isolation))

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
            with Output() as output, Run(child := self._living_child(output), output) as run:
                with Watchdog(run, self.limits, request.isolation) as watchdog:
                    run.start(request)
                    while True:
                        with watchdog.waiting():
                            reply = run.receive()
                        if reply is None:
                            raise watchdog.verdict() or run.crash()
                        if reply.is_last:
                            break
                        yield reply.message
                    # The child is kept, unless an unexpected error ended the run, something of the run lives on, or
                    # the child has grown so large that later runs, which begin with its memory, have little left.
                    clean = run.end() and child.resident_bytes() <= self.limits.memory_bytes // 2
                if reply.error is not None:
                    raise from_record(reply.error)
        finally:
            if not clean:
                self.close()
            self._running.release()

    def _living_child(self, output: Output) -> Child:
        child = self._child
        if child is None or not child.alive():
            self.close()
            child = self._child = Child(self.limits, output.descriptor)
        return child

    def _require(self, function: str) -> None:
        """Check that a function may run.

        Raises:
            Internal: its module is not allowed, or it is not named as `package.module:function`.
        """
        module, colon, name = function.partition(":")
        if not (colon and name.isidentifier() and module.startswith(self._allow)):
            raise Internal(
                f"Expected 'package.module:function' with a module that starts with one of {list(self._allow)}. "
                f"Received function={function!r}.",
                reason="SANDBOX_FUNCTION",
            )
