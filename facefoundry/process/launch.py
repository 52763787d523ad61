"""Programs that end when this process ends, however that happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

__all__ = ["launch"]

# Started programs ask the kernel to end with the *thread* that started them, so all are started by one lasting thread.
_launcher = ThreadPoolExecutor(max_workers=1, thread_name_prefix="launcher")
_BIND_AND_EXEC = """\
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(sys.argv[1]), 0, 0, 0)
if os.getppid() != int(sys.argv[2]):
    os._exit(1)
os.execv(sys.argv[3], sys.argv[3:])
"""


def launch(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    output: int | IO[bytes],
    death_signal: signal.Signals = signal.SIGKILL,
    folder: Path | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program in its own session that ends when this process ends, however that happens.

    Args:
        command: Absolute path of the program, then its arguments.
        environment: Its whole environment.
        output: Where its stdout and stderr go.
        death_signal: What it gets when this process dies (Linux).
        folder: Its working folder.
        pass_fds: File descriptors it inherits under the same numbers.
    """

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BIND_AND_EXEC, str(int(death_signal)), str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=folder,
            pass_fds=tuple(pass_fds),
            start_new_session=True,
        )

    return _launcher.submit(start).result()
