"""Starts the processes of workers, and keeps one that waits.

Loading TensorFlow takes a worker seconds. So one process is started ahead: it loads what a training needs, and waits
for its attempt. The attempt's URI and the variables of its environment reach it as one line of JSON on its standard
input.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from facefoundry import codec
from facefoundry.telemetry import logger
from services.trainer.worker_environment import worker_variables
from services.trainer.worker_protocol import WAIT, Order

__all__ = ["WorkerProcesses"]

_ROOT = Path(__file__).resolve().parents[4]
_log = logger(__name__)


class WorkerProcesses:
    """Starts workers. The kernel kills a worker when the thread that started it ends.

    Args:
        command: Command that starts a worker; the attempt's URI is appended, or `WAIT`.
        defaults: Variables that a variable of this process's environment overrides.
        waits: Whether to keep a process that waits.
    """

    def __init__(self, command: Sequence[str], defaults: Mapping[str, str], waits: bool) -> None:
        self._command = tuple(command)
        self._environment = {**defaults, **worker_variables(os.environ), "FACEFOUNDRY_WORKER_PARENT": str(os.getpid())}
        self._waits = waits
        self._waiting: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Start a process that waits, if there is none; whether one ends before its attempt is not looked at."""
        if self._waits and self._waiting is None:
            with suppress(OSError):  # `start` reports it
                self._waiting = self._run(WAIT, self._environment, subprocess.PIPE)

    def start(self, attempt_uri: str, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start the worker of an attempt: the process that waits, if it still does, or else a new one.

        Args:
            attempt_uri: URI of the attempt.
            variables: Variables of the worker's environment, beside those of all workers.

        Raises:
            OSError: no process can be started.
        """
        process, self._waiting = self._waiting, None
        if process is not None and process.stdin is not None:
            try:
                with process.stdin:
                    process.stdin.write(codec.to_json(Order(attempt_uri, dict(variables))) + b"\n")
            except OSError:
                _log.warning("waiting_worker_ended", exit_code=process.wait())
            else:
                return process
        return self._run(attempt_uri, {**self._environment, **variables}, subprocess.DEVNULL)

    def close(self) -> None:
        """End the process that waits."""
        process, self._waiting = self._waiting, None
        if process is not None:
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()

    def _run(self, argument: str, environment: Mapping[str, str], stdin: int) -> subprocess.Popen[bytes]:
        command = [*self._command, argument]
        return subprocess.Popen(command, env=environment, cwd=_ROOT, stdin=stdin, start_new_session=True)
