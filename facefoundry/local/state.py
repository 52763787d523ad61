"""Keeps the state of a local stack on disk: its lock, its users, its processes and their addresses.

lock          held while the stack is started, joined or stopped
users/<id>    one file per user (a command that uses the stack), locked while the user is alive
state.json    written by the owner (the command that started the stack); absent if no stack runs
stack.env     the environment variables of programs that use the stack, one `NAME=value` a line; written and deleted
              with state.json

Only the owner's account can read the last two, because they contain the credentials.
"""

from __future__ import annotations

import fcntl
import os
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psutil

from facefoundry import codec
from facefoundry.errors import DataLoss
from facefoundry.formats import refuse_newer_json

__all__ = ["ProcessId", "LocalFolder", "State", "User"]

FORMAT = "facefoundry.local/1"
RUN_VARIABLE = "FACEFOUNDRY_LOCAL_RUN"
_CLOCK_SECONDS = 2.0


class ProcessId(NamedTuple):
    """Identifies a process by its pid and its start time, because the system may reuse the pid."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        """Return the id of the process that has the pid now. If no process has it, the id's `alive` returns False."""
        with suppress(psutil.Error):
            return cls(pid, psutil.Process(pid).create_time())
        return cls(pid, 0.0)

    def alive(self) -> bool:
        """Return whether this process still runs."""
        with suppress(psutil.Error):
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < _CLOCK_SECONDS
            return same and process.status() != psutil.STATUS_ZOMBIE
        return False


@dataclass(frozen=True)
class State:
    """The state of a started stack.

    Attributes:
        run: Random id of the stack, an environment variable of all its processes.
        owner: The process that started the stack and will stop it.
        processes: The processes of the stack, by name.
        store: Settings of the object store, with credentials.
        addresses: gRPC addresses by service.
        ready: Whether all processes have started to serve.
        format: Format of the file.
    """

    run: str
    owner: ProcessId
    processes: dict[str, ProcessId] = field(default_factory=dict)
    store: dict[str, str] = field(default_factory=dict, repr=False)
    addresses: dict[str, str] = field(default_factory=dict)
    ready: bool = False
    format: str = FORMAT

    def survivors(self) -> list[psutil.Process]:
        """Return the living processes of this stack, found by the run id in their environment."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get(RUN_VARIABLE) == self.run and process.pid != os.getpid():
                    found.append(process)
        return found

    def kill_survivors(self) -> None:
        """Kill all living processes of this stack."""
        survivors = self.survivors()
        for process in survivors:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(survivors, timeout=10)


@dataclass(frozen=True)
class User:
    """A command that uses the stack."""

    pid: int
    command: str


class LocalFolder:
    """The folder of a local stack, which only its account can read.

    Attributes:
        path: The folder.
        variables: The file with the environment variables of programs that use the stack.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._users = path / "users"
        self._state = path / "state.json"
        self.variables = path / "stack.env"
        for folder in (path, self._users):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Wait for the lock, and hold it during the block. Starting, joining and stopping the stack need this lock."""
        with (self.path / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def join(self) -> Iterator[str]:
        """Be a user of the stack during the block, and yield the id of this user. Enter it with the lock held."""
        name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        path = self._users / name
        with path.open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(codec.to_json(User(os.getpid(), " ".join(sys.argv))))
            file.flush()
            try:
                yield name
            finally:
                path.unlink(missing_ok=True)

    def other_users(self, own: str) -> list[User]:
        """Return the other users, and delete the files of users that have ended. Hold the lock to call this."""
        found = []
        for path in sorted(self._users.iterdir()):
            if path.name == own:
                continue
            with suppress(FileNotFoundError), path.open() as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    found.append(codec.from_json(User, file.read()))
                else:
                    path.unlink()
        return found

    def read(self) -> State | None:
        """Read the state; None if no stack runs.

        Raises:
            DataLoss: the state file is damaged (BAD_LOCAL_STATE).
            Unusable: a newer version of FaceFoundry wrote it (NEWER_FORMAT).
        """
        try:
            data = self._state.read_bytes()
            refuse_newer_json(data, FORMAT, str(self._state))
            state = codec.from_json(State, data)
            if state.format != FORMAT:
                raise DataLoss(f"Expected format={FORMAT}. Received format={state.format!r}.")
        except FileNotFoundError:
            return None
        except DataLoss as error:
            raise DataLoss(
                f"The state file {self._state} is damaged: {error.message} Stop the stack's processes and delete it.",
                reason="BAD_LOCAL_STATE",
                resource=str(self._state),
            ) from error
        return state

    def write(self, state: State) -> None:
        """Write the state file. Readers see the old file or the complete new one."""
        _write_private(self._state, codec.to_json(state))

    def write_variables(self, variables: Mapping[str, str]) -> None:
        """Write the file with environment variables, in the same way."""
        _write_private(self.variables, "".join(f"{name}={value}\n" for name, value in variables.items()).encode())

    def clear(self) -> None:
        """Delete both files, because the stack has stopped."""
        self._state.unlink(missing_ok=True)
        self.variables.unlink(missing_ok=True)


def _write_private(path: Path, data: bytes) -> None:
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    partial.replace(path)
