"""Starts, watches and stops a process of the local stack. The output of the process goes to a log file."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from facefoundry.errors import InvalidInput, Unavailable
from facefoundry.local.state import ProcessId
from facefoundry.process.launch import launch

__all__ = ["LocalProcess", "free_ports", "hold_ports", "release"]

LOOPBACK = "127.0.0.1"
_BAD_SETTINGS = 2  # exit code of a service whose settings are wrong
_LOG_TAIL_LINES = 15
_LOG_TAIL_BYTES = 16 << 10
# Below the kernel's range for outgoing connections, so no connection takes a port between the check and its use.
_PORTS = range(20_000, 32_000)


class LocalProcess:
    """A program that ends when this process ends. Its output goes to `log`; the previous log is kept as `*.log.1`."""

    def __init__(
        self, name: str, command: Sequence[str], *, folder: Path, environment: Mapping[str, str], log: Path
    ) -> None:
        """Start the program.

        Args:
            name: Name of the program in messages.
            command: Absolute path of the program, then its arguments.
            folder: Working directory of the program.
            environment: All environment variables of the program.
            log: File for the program's standard output and error.
        """
        self.name = name
        self.log = log
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if log.exists():
            log.replace(log.with_name(log.name + ".1"))
        with log.open("wb") as output:
            self._process = launch(command, environment=environment, output=output, folder=folder)
        self.identity = ProcessId.of(self._process.pid)

    def check(self) -> None:
        """Check that the process still runs.

        Raises:
            InvalidInput: the process has refused its settings; the message is its own (SETTINGS).
            Unavailable: the process has ended otherwise; the message contains the last lines of its log.
        """
        code = self._process.poll()
        if code is None:
            return
        if code == _BAD_SETTINGS:
            message = (self._last_lines() or [""])[-1]
            raise InvalidInput(f"The {self.name} did not start. {message}", reason="SETTINGS", resource=self.name)
        end = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        raise Unavailable(
            f"The {self.name} ended with {end}. The end of {self.log}:\n{self.log_tail()}",
            reason="LOCAL_PROCESS_ENDED",
            resource=self.name,
        )

    def log_tail(self) -> str:
        """Return the last lines of the log, indented."""
        lines = self._last_lines()
        return "    (gone)" if lines is None else "\n".join(f"    {line}" for line in lines) or "    (empty)"

    def _last_lines(self) -> list[str] | None:
        """Return the last lines of the log; None if it is gone."""
        with suppress(OSError), self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _LOG_TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        return None

    def terminate(self) -> None:
        """Send SIGTERM to the process if it runs; do not wait."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def stop(self, grace_seconds: float) -> bool:
        """Send SIGTERM, and SIGKILL after the grace period. Return whether the process ended within that period."""
        self.terminate()
        try:
            self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def kill(self) -> None:
        """Send SIGKILL to the process, and wait until it has ended."""
        self._process.kill()
        self._process.wait()


def hold_ports(count: int, *, chosen: Collection[int] = ()) -> dict[int, socket.socket]:
    """Keep `count` free TCP ports from other processes.

    Args:
        count: How many.
        chosen: Ports that a process will take soon; these are left out.

    Returns:
        Sockets by port. Close one to free its port.

    Raises:
        Unavailable: there are too few (NO_FREE_PORT).
    """
    held: dict[int, socket.socket] = {}
    for port in random.sample(_PORTS, len(_PORTS)):
        if len(held) == count:
            break
        if port in chosen:
            continue
        holder = socket.socket()
        try:
            holder.bind((LOOPBACK, port))
        except OSError:
            holder.close()
        else:
            held[port] = holder
    if len(held) < count:
        release(held)
        raise Unavailable(
            f"Expected {count} free ports from {_PORTS.start} to {_PORTS.stop - 1} on {LOOPBACK}. Found {len(held)}.",
            reason="NO_FREE_PORT",
        )
    return held


def release(held: dict[int, socket.socket], *, kept: Collection[int] = ()) -> None:
    """Free ports that `hold_ports` keeps, all but some, and remove them from `held`."""
    for port in [port for port in held if port not in kept]:
        held.pop(port).close()


def free_ports(count: int, *, chosen: Collection[int] = ()) -> list[int]:
    """Return `count` different TCP ports that are not in use on this machine; arguments and errors as `hold_ports`."""
    held = hold_ports(count, chosen=chosen)
    ports = list(held)
    release(held)
    return ports
