"""A run of a function in a sandbox, as the sandbox's parent sees it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from types import TracebackType

import psutil

from facefoundry import codec
from facefoundry.errors import DataLoss, Unusable
from facefoundry.process.sandbox.child import Child
from facefoundry.process.sandbox.output import Output
from facefoundry.process.sandbox.protocol import Ended, Reply, Request, Started

__all__ = ["Run"]

_LINE_BYTES = 16 << 20
_END_SECONDS = 10.0  # from the end of a run's pipe to that of its process, on a busy machine


class Run:
    """The process that a child forks for one function, and its pipe of replies.

    Args:
        child: The child. It has no other run.
        output: For what libraries print.
    """

    def __init__(self, child: Child, output: Output) -> None:
        self._child, self._output = child, output
        replies, end = os.pipe()
        self._replies, self._replies_end = os.fdopen(replies, "rb"), os.fdopen(end, "wb", buffering=0)
        self._started: Started | None = None
        self._process: psutil.Process | None = None
        self._wrote_garbage = False

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._replies_end.close()
        self._replies.close()

    def start(self, request: Request) -> None:
        """Let the child run a function. If the request cannot be sent, the first `receive` returns None."""
        self._child.send(request, self._replies_end.fileno(), self._output.descriptor)
        self._replies_end.close()
        self._output.close()

    def receive(self) -> Reply | None:
        """Wait for the next reply and return it; None if the process died or wrote something that is not a reply."""
        if self._started is None:
            self._started = self._child.receive(Started)
            if self._started is None:
                return None
            self._process = self._find(self._started.process)
        try:
            line = self._replies.readline(_LINE_BYTES)
            if line.endswith(b"\n"):
                return codec.from_json(Reply, line)
            self._wrote_garbage = bool(line)
        except DataLoss:
            self._wrote_garbage = True
        return None

    def end(self) -> bool:
        """Wait for the end of the process; return whether it ended as it should, and left no other process behind."""
        ended = self._child.receive(Ended, _END_SECONDS)
        return ended is not None and ended.code == 0 and ended.is_alone

    def resident_bytes(self, *, descendants: bool) -> int:
        """Return the resident memory of the process, in bytes, or of the child until it has started; 0 if it has ended.

        Args:
            descendants: Whether to add that of its descendants.
        """
        if self._started is None:
            return self._child.resident_bytes()
        total = 0
        with contextlib.suppress(psutil.Error):
            if self._process is not None:
                total = int(self._process.memory_info().rss)
                for descendant in self._process.children(recursive=True) if descendants else ():
                    with contextlib.suppress(psutil.Error):
                        total += int(descendant.memory_info().rss)
        return total

    def kill(self) -> None:
        """Kill the process and its descendants, with the child. Any thread may call this, more than once."""
        self._child.kill()

    def crash(self) -> Unusable:
        """Return an error that describes how the process died. Whatever lives of it is killed, with the child."""
        code = None if self._wrote_garbage else self._exit_code()
        self.kill()
        if code is None:
            how = "sent something that is not a message"
        elif code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        else:
            how = f"ended with exit code {code}"
        last = self._output.last_line()
        return Unusable(
            f"The process that worked on the media {how}." + (f" Its last line of output: {last}" if last else ""),
            reason="MEDIA_CRASHED",
            metadata={"how": how, "last_line": last},
        )

    def _exit_code(self) -> int | None:
        """Return how the process ended, or the child if it ended itself; None if the process lives without its pipe."""
        if self._started is not None and (ended := self._child.receive(Ended, _END_SECONDS)) is not None:
            return ended.code
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._child.process.wait(1.0)
        return None

    def _find(self, number: int) -> psutil.Process | None:
        """Return the process with a number; None if it has ended, so that the number may be that of another one."""
        with contextlib.suppress(psutil.Error):
            found = psutil.Process(number)
            return found if found.ppid() == self._child.process.pid else None
        return None
