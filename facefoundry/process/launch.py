"""Starts programs that end when this process ends, even if this process is killed."""

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

# The kernel ends a program together with the *thread* that started it, so one thread starts them all and never ends.
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
    """Start a program in a session of its own. On Linux the kernel ends it when this process ends or is killed.

    Args:
        command: Absolute path of the program, then its arguments.
        environment: All environment variables of the program.
        output: File for the program's stdout and stderr.
        death_signal: The signal that the program gets when this process ends (Linux only).
        folder: Working directory of the program; by default this process's.
        pass_fds: File descriptors that the program inherits under the same numbers.
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
