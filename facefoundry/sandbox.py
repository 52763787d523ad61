"""Child processes with time and memory limits, for work on hostile media. It knows nothing of what the work is.

A module-level generator function runs in a child; its arguments and what it yields are JSON values, its errors are
ours. The child's environment has no credentials and it cannot read its parent's, and neither side unpickles anything.
The caller does all object storage.

    parent: Sandbox.run ── request line ──> child: call the function
            next()      <── one line per yielded message; the child waits while the pipe is full
            watchdog: kills the child's whole tree at the time or memory limit
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import psutil

from facefoundry.errors import FaceFoundryError, Internal, Unusable, from_record, to_record
from facefoundry.launch import launch
from facefoundry.scratch import disk_full

__all__ = ["Limits", "Sandbox", "library_variables"]

_LINE_BYTES = 16 << 20
_WATCH_SECONDS = 0.1
_TREE_EVERY = 5
_STDERR_LINES = 20
_EXIT_SECONDS = 2.0
_PR_SET_DUMPABLE = 4
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
_UNHURRIED = {
    # The highest that glibc raises them to by itself. Where it starts, every frame's memory is fetched from the system
    # anew, a good part of decoding's time.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
    # Threads that wait for the next product of matrices sleep, and do not compute in circles.
    "OPENBLAS_THREAD_TIMEOUT": "4",
}

_SECRET = re.compile(r"^(FACEFOUNDRY_STORE_|AWS_|MINIO_|S3_|WEED_)|SECRET|PASSWORD|TOKEN|CREDENTIAL", re.IGNORECASE)


@dataclass(frozen=True)
class Limits:
    """What one run may use.

    Attributes:
        seconds: Longest time the caller waits for a message. Long media take long, so a run has no limit of its own.
        memory_bytes: Most resident memory of the child and its descendants.
        file_bytes: Largest file the child may write; None for no limit.
        threads: Threads of each numerical library; None leaves it to them, which take every core of the machine.
    """

    seconds: float
    memory_bytes: int
    file_bytes: int | None = None
    threads: int | None = None


class Sandbox:
    """One child process, kept warm between runs; one run at a time, several sandboxes side by side.

    Example:
        with Sandbox(Limits(seconds=60, memory_bytes=2 << 30)) as sandbox:
            for message in sandbox.run("services.extractor.pipeline:faces", path="/scratch/a.mp4"):
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
        self._child: _Child | None = None

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
                child = self._child = _Child(self.limits)
            with _Watchdog(child, self.limits) as watchdog:
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
                raise from_record(record["error"])
        finally:
            if not clean:
                self.close()
            self._running.release()


def library_variables(threads: int | None) -> dict[str, str]:
    """Variables by which a process's libraries are told, as they are loaded, what of the machine they may take.

    Args:
        threads: Threads of each numerical library; None leaves it to them.
    """
    return _UNHURRIED | ({} if threads is None else dict.fromkeys(_THREADS, str(threads)))


class _Child:
    """The process and its three pipes: requests, messages, and everything libraries print."""

    def __init__(self, limits: Limits) -> None:
        # Otherwise whatever takes the child over could read this process's environment and memory in /proc.
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)
        requests_in, requests_out = os.pipe()
        messages_in, messages_out = os.pipe()
        printed_in, printed_out = os.pipe()
        environment = {name: value for name, value in os.environ.items() if not _SECRET.search(name)}
        environment |= library_variables(limits.threads)
        environment["PYTHONPATH"] = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)
        environment["PYTHONSAFEPATH"] = "1"
        command = [sys.executable, "-m", "facefoundry.sandbox", str(requests_in), str(messages_out)]
        try:
            self.process = launch(
                [*command, str(limits.file_bytes or 0)],
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

    def _keep_printed(self, stream: IO[bytes]) -> None:
        with stream:
            while line := stream.readline(4096):
                self._printed.append(line.decode(errors="replace").rstrip())

    def alive(self) -> bool:
        return self.process.poll() is None

    def send(self, request: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._requests.write(request)

    def receive(self) -> dict[str, Any] | None:
        """The next record, or None when the child died or does not speak our language."""
        try:
            line = self._messages.readline(_LINE_BYTES)
            record = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            return None
        well_formed = isinstance(record, dict) and isinstance(record.get("error", {}), dict)
        return record if well_formed else None

    def resident_bytes(self) -> int:
        """Resident memory of the child alone; 0 when it is gone."""
        try:
            return int(psutil.Process(self.process.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def tree(self) -> list[psutil.Process]:
        """The child and its living descendants."""
        try:
            child = psutil.Process(self.process.pid)
            return [child, *child.children(recursive=True)]
        except psutil.Error:
            return []

    def kill(self) -> None:
        """Kill the whole tree and wait for it. Any thread may call it, also again."""
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
        """End the whole tree and close the pipes; a thread that waits for a message gets None."""
        self._requests.close()
        if not at_once:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_EXIT_SECONDS)
        self.kill()
        self._messages.close()

    def crash(self) -> Unusable:
        """The error that tells how the child died; kills it if it did not."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1.0)
        spoke_nonsense = self.process.poll() is None
        self.kill()
        self._printer.join(1.0)
        code = self.process.returncode
        if spoke_nonsense:
            how = "sent something that is no message"
        elif code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        else:
            how = f"ended with exit code {code}"
        last = next((line for line in reversed(self._printed) if line.strip()), "")
        return Unusable(
            f"The process that worked on the media {how}." + (f" Its last words: {last}" if last else ""),
            reason="MEDIA_CRASHED",
            metadata={"how": how, "last_line": last},
        )


class _Watchdog:
    """A thread that kills the child at a limit and remembers which."""

    def __init__(self, child: _Child, limits: Limits) -> None:
        self._child = child
        self._limits = limits
        self._waits_since: float | None = None
        self._verdict: Unusable | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sandbox-watchdog", daemon=True)

    def __enter__(self) -> _Watchdog:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Hold the time inside against the limit."""
        self._waits_since = time.monotonic()
        try:
            yield
        finally:
            self._waits_since = None

    def verdict(self) -> Unusable | None:
        """The limit that was passed, if any."""
        return self._verdict

    def _watch(self) -> None:
        rounds = 0
        while not self._over.wait(_WATCH_SECONDS):
            rounds += 1
            resident = self._child.resident_bytes() if rounds % _TREE_EVERY else self._tree_bytes()
            since = self._waits_since
            waited = time.monotonic() - since if since is not None else 0.0
            if resident > self._limits.memory_bytes:
                self._verdict = Unusable(
                    f"Working on the media took {resident >> 20} MiB of memory, over the limit of "
                    f"{self._limits.memory_bytes >> 20} MiB, and was stopped.",
                    reason="MEDIA_MEMORY",
                )
            elif waited > self._limits.seconds:
                self._verdict = Unusable(
                    f"Working on the media showed no progress for {self._limits.seconds:g} s and was stopped.",
                    reason="MEDIA_TIMEOUT",
                )
            if self._verdict is not None:
                self._child.kill()
                return

    def _tree_bytes(self) -> int:
        total = 0
        for process in self._child.tree():
            with contextlib.suppress(psutil.Error):
                total += int(process.memory_info().rss)
        return total


def _serve(requests: IO[bytes], messages: IO[bytes]) -> None:
    """The child's loop: one request line, then its messages, until the parent closes the pipe."""

    def say(record: dict[str, Any]) -> None:
        messages.write(json.dumps(record).encode() + b"\n")
        messages.flush()

    for line in requests:
        request = json.loads(line)
        module, _, name = request["target"].partition(":")
        function = getattr(importlib.import_module(module), name)
        try:
            for message in function(**request["arguments"]):
                say({"message": message})
        except FaceFoundryError as error:
            say({"error": to_record(error)})
        except Exception as error:
            full = disk_full(error)
            if full is None:
                raise
            say({"error": to_record(full)})
        else:
            say({"end": True})


def _main(requests: int, messages: int, file_bytes: int) -> None:
    os.set_inheritable(requests, False)
    os.set_inheritable(messages, False)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if file_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    # When the kernel runs out of memory it shall take this process, not the service.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    _serve(os.fdopen(requests, "rb"), os.fdopen(messages, "wb"))


if __name__ == "__main__":
    _main(*(int(argument) for argument in sys.argv[1:4]))
