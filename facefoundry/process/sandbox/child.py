"""The child process of a sandbox, as its parent sees it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import IO

import psutil

from facefoundry import codec
from facefoundry.errors import DataLoss, Unusable
from facefoundry.process.launch import launch
from facefoundry.process.sandbox.isolation import Isolation
from facefoundry.process.sandbox.limits import Limits, library_variables
from facefoundry.process.sandbox.protocol import Reply, Request, Start

__all__ = ["Child"]

_LINE_BYTES = 16 << 20
_STDERR_LINES = 20
_EXIT_SECONDS = 2.0
_CRASH_SECONDS = 10.0  # from the end of the child's pipe to that of the child, on a busy machine
_PR_SET_DUMPABLE = 4
_SECRET = re.compile(r"^(FACEFOUNDRY_STORE_|AWS_|MINIO_|S3_|WEED_)|SECRET|PASSWORD|TOKEN|CREDENTIAL", re.IGNORECASE)


class Child:
    """The child process and its three pipes: requests, replies, and everything that libraries print.

    Args:
        limits: Threads and file size of the child; `Watchdog` applies its other limits.
        isolation: What the child may do besides computing; None to restrict it by its limits alone.
    """

    def __init__(self, limits: Limits, isolation: Isolation | None = None) -> None:
        # Otherwise a compromised child could read this process's environment and memory in /proc.
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)
        requests_in, requests_out = os.pipe()
        messages_in, messages_out = os.pipe()
        printed_in, printed_out = os.pipe()
        environment = {name: value for name, value in os.environ.items() if not _SECRET.search(name)}
        environment |= library_variables(limits.threads)
        environment["PYTHONPATH"] = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)
        environment["PYTHONSAFEPATH"] = "1"
        if isolation is not None:
            environment |= dict.fromkeys(("TMPDIR", "HOME"), str(isolation.temporary))
        start = Start(requests_in, messages_out, limits.disk_bytes, isolation)
        try:
            self.process = launch(
                [sys.executable, "-m", "facefoundry.process.sandbox", codec.to_json(start).decode()],
                environment=environment,
                output=printed_out,
                pass_fds=(requests_in, messages_out),
            )
        finally:
            for descriptor in (requests_in, messages_out, printed_out):
                os.close(descriptor)
        self._requests = os.fdopen(requests_out, "wb", buffering=0)
        self._messages = os.fdopen(messages_in, "rb")
        self._printed: deque[str] = deque(maxlen=_STDERR_LINES)
        self._printer = threading.Thread(
            target=self._keep_printed, args=(os.fdopen(printed_in, "rb"),), name="sandbox-output", daemon=True
        )
        self._printer.start()
        self._killing = threading.Lock()
        self._wrote_garbage = False

    def _keep_printed(self, stream: IO[bytes]) -> None:
        with stream:
            while line := stream.readline(4096):
                self._printed.append(line.decode(errors="replace").rstrip())

    def alive(self) -> bool:
        """Return whether the process runs."""
        return self.process.poll() is None

    def send(self, request: Request) -> None:
        """Send a request. If the request cannot be sent, the next `receive` returns None."""
        with contextlib.suppress(OSError, ValueError):
            self._requests.write(codec.to_json(request) + b"\n")

    def receive(self) -> Reply | None:
        """Wait for the next reply and return it; None if the child died or wrote something that is not a reply."""
        try:
            line = self._messages.readline(_LINE_BYTES)
            if line.endswith(b"\n"):
                return codec.from_json(Reply, line)
            self._wrote_garbage = bool(line)
        except (ValueError, DataLoss):
            self._wrote_garbage = True
        return None

    def resident_bytes(self) -> int:
        """Return the resident memory of the child without its descendants, in bytes; 0 if it has ended."""
        try:
            return int(psutil.Process(self.process.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def cpu_seconds(self) -> float:
        """Return the CPU time of the child and of its descendants that have ended; 0 if it has ended itself."""
        try:
            times = psutil.Process(self.process.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system + times.children_user + times.children_system)

    def tree(self) -> list[psutil.Process]:
        """Return the child and its living descendants."""
        try:
            child = psutil.Process(self.process.pid)
            return [child, *child.children(recursive=True)]
        except psutil.Error:
            return []

    def kill(self) -> None:
        """Kill the child and its descendants, and wait for the child. Any thread may call this, more than once."""
        with self._killing:
            if self.process.returncode is None:
                descendants = self.tree()[1:]
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                for descendant in descendants:
                    with contextlib.suppress(psutil.Error):
                        descendant.kill()
                self.process.wait()

    def close(self, at_once: bool) -> None:
        """End the child and its descendants, and close the pipes. A waiting `receive` returns None.

        Args:
            at_once: Whether to kill the child immediately, instead of first giving it 2 seconds to end.
        """
        if at_once:
            self.kill()
        self._requests.close()
        if not at_once:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_EXIT_SECONDS)
        self.kill()
        self._messages.close()

    def crash(self) -> Unusable:
        """Return an error that describes how the child died. If the child is still alive, kill it."""
        if not self._wrote_garbage:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_CRASH_SECONDS)
        wrote_garbage = self._wrote_garbage or self.process.poll() is None
        self.kill()
        self._printer.join(1.0)
        code = self.process.returncode
        if wrote_garbage:
            how = "sent something that is not a message"
        elif code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        else:
            how = f"ended with exit code {code}"
        last = next((line for line in reversed(self._printed) if line.strip()), "")
        return Unusable(
            f"The process that worked on the media {how}." + (f" Its last line of output: {last}" if last else ""),
            reason="MEDIA_CRASHED",
            metadata={"how": how, "last_line": last},
        )
