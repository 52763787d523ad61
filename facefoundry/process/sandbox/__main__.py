"""`python -m facefoundry.process.sandbox`: the child of a sandbox, which forks a process for each function to run.

The child loads what runs share and does nothing else, so that each run begins with nothing of another one. It reads
nothing that a run has written. It has one thread, because a fork copies no other: see `child_variables`.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from facefoundry import codec
from facefoundry.codec import JsonValue
from facefoundry.errors import FaceFoundryError, to_record
from facefoundry.process.sandbox.kernel import (
    CHILD_SUBREAPER,
    DUMPABLE,
    NO_NEW_PRIVILEGES,
    PARENT_DEATH_SIGNAL,
    prctl,
)
from facefoundry.process.sandbox.limits import use_threads
from facefoundry.process.sandbox.protocol import Call, Ended, Reply, Request, Start, Started
from facefoundry.process.scratch import disk_full, file_too_large

_LINE_BYTES = 1 << 16


def _main(start: Start) -> None:
    requests = socket.socket(fileno=start.requests)
    requests.set_inheritable(False)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if start.file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (start.file_bytes, start.file_bytes))
    # When the kernel runs out of memory it should kill this process, not the service.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    prctl(NO_NEW_PRIVILEGES, 1)
    prctl(DUMPABLE, 0)  # so that no run reads or writes this process's memory
    prctl(CHILD_SUBREAPER, 1)  # so that what a run leaves behind is seen here
    with Path(os.devnull).open("wb") as nowhere:
        while found := _receive(requests):
            request, replies, output = found
            _print_to(output)
            os.close(output)
            _prepare(request)
            parent, process = os.getpid(), os.fork()
            if not process:
                requests.close()
                _run(request, replies, start.threads, parent)
            os.close(replies)
            _require_one_thread()
            _send(requests, Started(process))
            _, status = os.waitpid(process, 0)
            _print_to(nowhere.fileno())
            _send(requests, Ended(os.waitstatus_to_exitcode(status), _is_alone()))


def _print_to(descriptor: int) -> None:
    """Send what is printed from now on to a file: what a run prints is for nobody but its own call."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(descriptor, stream.fileno())


def _prepare(request: Request) -> None:
    """Load what this run shares with later ones. An error is left to the run, which meets it again."""
    with contextlib.suppress(Exception):
        _function(request.call)
        if request.prepare is not None:
            _function(request.prepare)(**request.prepare.arguments)
    sys.stdout.flush()
    sys.stderr.flush()


def _require_one_thread() -> None:
    """Check, after a fork, that it left out no thread, for which the forked process could wait for ever.

    Libraries that know of forks, as OpenBLAS does, have ended their threads by then.

    Raises:
        RuntimeError: this process has other threads. This ends it with its run, and is the last line of its output.
    """
    threads = sum(1 for _ in Path("/proc/self/task").iterdir())
    if threads > 1:
        raise RuntimeError(f"Expected one thread at a fork. {threads} run: what `prepare` loads must start none.")


def _function(call: Call) -> Callable[..., Iterable[JsonValue]]:
    module, _, name = call.function.partition(":")
    found: Callable[..., Iterable[JsonValue]] = getattr(importlib.import_module(module), name)
    return found


def _receive(requests: socket.socket) -> tuple[Request, int, int] | None:
    """Return the next request with its descriptors for replies and output; None once the parent closed the socket."""
    _, descriptors, _, _ = socket.recv_fds(requests, 1, 2)
    if not descriptors:
        return None
    replies, output = descriptors
    blocks: list[bytes] = []
    while not (blocks and blocks[-1].endswith(b"\n")):
        block = requests.recv(_LINE_BYTES)
        if not block:
            return None
        blocks.append(block)
    return codec.from_json(Request, b"".join(blocks)), replies, output


def _send(requests: socket.socket, answer: Started | Ended) -> None:
    requests.sendall(codec.to_json(answer) + b"\n")


def _is_alone() -> bool:
    """Return whether no process lives that a run has started; those that have ended are collected."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return False
    return True


def _run(request: Request, replies: int, threads: int | None, parent: int) -> NoReturn:
    """Run a function in this process, which then ends."""
    code = 1
    try:
        prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(code)
        use_threads(threads)
        if request.isolation is not None:
            os.environ |= dict.fromkeys(("TMPDIR", "HOME"), str(request.isolation.temporary))
            tempfile.tempdir = None
            request.isolation.apply()
        with os.fdopen(replies, "wb") as pipe:
            for reply in _replies(request.call):
                pipe.write(codec.to_json(reply) + b"\n")
                pipe.flush()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _replies(call: Call) -> Iterator[Reply]:
    """Call the function, and yield a reply for each message and for the end."""
    try:
        yield from map(Reply, _function(call)(**call.arguments))
    except FaceFoundryError as error:
        yield Reply(error=to_record(error))
    except Exception as error:
        full = disk_full(error) or file_too_large(error)
        if full is None:
            raise
        yield Reply(error=to_record(full))
    else:
        yield Reply(end=True)


if __name__ == "__main__":
    _main(codec.from_json(Start, sys.argv[1].encode()))
