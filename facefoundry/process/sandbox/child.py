"""The child process of a sandbox, as its parent sees it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TypeVar

import psutil

from facefoundry import codec
from facefoundry.errors import DataLoss
from facefoundry.process.launch import launch
from facefoundry.process.sandbox.kernel import DUMPABLE
from facefoundry.process.sandbox.limits import Limits, child_variables
from facefoundry.process.sandbox.protocol import Ended, Request, Start, Started

__all__ = ["Child"]

_LINE_BYTES = 1 << 16
_EXIT_SECONDS = 2.0
_SECRET = re.compile(r"^(FACEFOUNDRY_STORE_|AWS_|MINIO_|S3_|WEED_)|SECRET|PASSWORD|TOKEN|CREDENTIAL", re.IGNORECASE)

Answer = TypeVar("Answer", Started, Ended)


class Child:
    """The child process. It loads libraries, and forks a process for each run.

    Args:
        limits: Threads and file size of its runs; `Watchdog` applies the other limits.
        output: File descriptor for what it prints until its first run; each request brings another one.
    """

    def __init__(self, limits: Limits, output: int) -> None:
        # Otherwise a compromised child could read this process's environment and memory in /proc.
        ctypes.CDLL(None).prctl(DUMPABLE, 0)
        self._requests, requests = socket.socketpair()
        environment = {name: value for name, value in os.environ.items() if not _SECRET.search(name)}
        environment |= child_variables(limits.threads)
        environment["PYTHONPATH"] = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)
        environment["PYTHONSAFEPATH"] = "1"
        start = Start(requests.fileno(), limits.disk_bytes, limits.threads)
        try:
            self.process = launch(
                [sys.executable, "-m", "facefoundry.process.sandbox", codec.to_json(start).decode()],
                environment=environment,
                output=output,
                pass_fds=(requests.fileno(),),
            )
        finally:
            requests.close()
        self._answers = self._requests.makefile("rb")
        self._killing = threading.Lock()

    def alive(self) -> bool:
        """Return whether the process lives."""
        return self.process.poll() is None

    def send(self, request: Request, replies: int, output: int) -> None:
        """Send a request. If it cannot be sent, there is no `Started`.

        Args:
            request: What to run.
            replies: File descriptor for the replies of the run.
            output: File descriptor for what libraries print.
        """
        with contextlib.suppress(OSError, ValueError):
            socket.send_fds(self._requests, [b" "], [replies, output])
            self._requests.sendall(codec.to_json(request) + b"\n")

    def receive(self, answer: type[Answer], seconds: float | None = None) -> Answer | None:
        """Wait for the next answer to a request; None if the process died, or was closed, or the time is over.

        Args:
            answer: Class of the answer.
            seconds: Longest time to wait; None for no limit. No answer can be received after it.
        """
        with contextlib.suppress(OSError, ValueError, DataLoss):
            self._requests.settimeout(seconds)
            return codec.from_json(answer, self._answers.readline(_LINE_BYTES))
        return None

    def cpu_seconds(self) -> float:
        """Return the CPU time of the process and of its descendants that have ended; 0 if it has ended itself."""
        try:
            times = psutil.Process(self.process.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system + times.children_user + times.children_system)

    def resident_bytes(self) -> int:
        """Return the resident memory of the process, in bytes; 0 if it has ended."""
        try:
            return int(psutil.Process(self.process.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def kill(self) -> None:
        """Kill the process and its descendants, and wait for it. Any thread may call this, more than once."""
        with self._killing:
            if self.process.returncode is None:
                descendants = self._descendants()
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                for descendant in descendants:
                    with contextlib.suppress(psutil.Error):
                        descendant.kill()
                self.process.wait()

    def close(self, at_once: bool) -> None:
        """End the process and its descendants, and close the socket. A waiting `receive` returns None.

        Args:
            at_once: Whether to kill it immediately, instead of first giving it 2 seconds to end.
        """
        if at_once:
            self.kill()
        with contextlib.suppress(OSError):
            self._requests.shutdown(socket.SHUT_RDWR)
        if not at_once:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_EXIT_SECONDS)
        self.kill()
        self._answers.close()
        self._requests.close()

    def _descendants(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.Error:
            return []
