"""Who runs and who uses this machine's stack: locks, identities of processes, and the state file other commands read.

lock          held while the stack is started, joined or stopped
users/<id>    one file per user, locked as long as the user is there
state.json    written by the owner (0600: it has the credentials), absent when nothing runs
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import psutil

from facefoundry.errors import DataLoss

__all__ = ["ProcessId", "LocalFolder", "State", "User"]

FORMAT = "facefoundry.local/1"
RUN_VARIABLE = "FACEFOUNDRY_LOCAL_RUN"
_CLOCK_SECONDS = 2.0


class ProcessId(NamedTuple):
    """A process: its pid alone may belong to another one by now."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        """The process that has the pid now; one that is gone already is never alive."""
        with suppress(psutil.Error):
            return cls(pid, psutil.Process(pid).create_time())
        return cls(pid, 0.0)

    def alive(self) -> bool:
        """Say whether this very process runs."""
        with suppress(psutil.Error):
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < _CLOCK_SECONDS
            return same and process.status() != psutil.STATUS_ZOMBIE
        return False


@dataclass(frozen=True)
class State:
    """A stack that was started.

    Attributes:
        run: Random word that all its processes, and whatever they start, have in their environment.
        owner: The process that started it and stops it.
        processes: Its processes by name.
        store: The fields of the object store's settings, credentials included.
        addresses: gRPC addresses by service.
        ready: Whether everything answered.
    """

    run: str
    owner: ProcessId
    processes: dict[str, ProcessId] = field(default_factory=dict)
    store: dict[str, str] = field(default_factory=dict, repr=False)
    addresses: dict[str, str] = field(default_factory=dict)
    ready: bool = False

    def survivors(self) -> list[psutil.Process]:
        """Living processes of this stack, found by the word in their environment, so never one of somebody else's."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get(RUN_VARIABLE) == self.run and process.pid != os.getpid():
                    found.append(process)
        return found

    def kill_survivors(self) -> None:
        """Kill what is left of this stack."""
        survivors = self.survivors()
        for process in survivors:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(survivors, timeout=10)


class User(NamedTuple):
    """A command that uses the stack."""

    pid: int
    command: str


class LocalFolder:
    """The private folder of a stack."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._users = path / "users"
        self._state = path / "state.json"
        for folder in (path, self._users):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock under which the stack is started, joined or stopped; waits for it."""
        with (self.path / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def join(self) -> Iterator[str]:
        """Be a user; gives the user's id. Enter it under the lock."""
        name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        path = self._users / name
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            json.dump(User(os.getpid(), " ".join(sys.argv))._asdict(), file)
            file.flush()
            try:
                yield name
            finally:
                path.unlink(missing_ok=True)

    def other_users(self, own: str) -> list[User]:
        """The other users; files of ones that are gone are removed. Call it under the lock."""
        found = []
        for path in sorted(self._users.iterdir()):
            if path.name == own:
                continue
            with suppress(FileNotFoundError), path.open() as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    found.append(User(**json.load(file)))
                else:
                    path.unlink()
        return found

    def read(self) -> State | None:
        """The state, or None when nothing was started.

        Raises:
            DataLoss: the file cannot be read.
        """
        try:
            record = json.loads(self._state.read_bytes())
            if record.pop("format") != FORMAT:
                raise ValueError("another format")
            record["owner"] = ProcessId(*record["owner"])
            record["processes"] = {name: ProcessId(*values) for name, values in record["processes"].items()}
            return State(**record)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise DataLoss(
                f"{self._state} is not a state that can be read ({error}). Stop what runs there and delete it.",
                reason="BAD_LOCAL_STATE",
                resource=str(self._state),
            ) from error

    def write(self, state: State) -> None:
        """Replace the state file at once, readable by its owner only."""
        partial = self._state.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump({"format": FORMAT, **asdict(state)}, file, indent=1)
        partial.replace(self._state)

    def clear(self) -> None:
        """Remove the state file: nothing runs."""
        self._state.unlink(missing_ok=True)
