"""What Slurm runs on a compute node: it starts the worker, and stores how the worker ended.

    python -m facefoundry_slurm_node FOLDER NAME RESTARTS WORKER...

If another run may succeed, this process requeues its own job. Slurm itself requeues a job that is preempted or whose
node fails. Trainer and nodes share a folder. A job has two files in it, each with one writer:

    <name>.json       the trainer's `Submission`: which job of Slurm runs the attempt
    <name>.run.json   the node's `Run`: how often the worker was started, and how it ended
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from facefoundry import codec
from facefoundry.errors import Busy, DataLoss, FaceFoundryError, Internal, Unavailable
from facefoundry.process.signals import stop_event
from services.trainer.worker_protocol import FINAL, ExitReport

__all__ = ["Folder", "Run", "Submission", "run", "slurm"]

_SUBMISSION_SECONDS = 60.0


@dataclass(frozen=True)
class Submission:
    """What the trainer submitted: the attempt, Slurm's id of the job, and the restarts before this job."""

    uri: str
    job: str
    restarts: int = 0
    failed: bool = False


@dataclass(frozen=True)
class Run:
    """The newest run of a worker in a job. `exit_code` is None while it runs; `ended` if no run follows it."""

    job: str
    restarts: int
    exit_code: int | None = None
    exit_report: ExitReport | None = None
    ended: bool = False


T = TypeVar("T", Submission, Run)


class Folder:
    """The shared folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the submissions during the block, against other trainers too."""
        with (self.path / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def submission(self, name: str) -> Path:
        """Return the path of a job's `Submission`."""
        return self.path / f"{name}.json"

    def run(self, name: str) -> Path:
        """Return the path of a job's `Run`."""
        return self.path / f"{name}.run.json"

    @staticmethod
    def read(kind: type[T], path: Path) -> T | None:
        """Read a file; None if it does not exist."""
        try:
            return codec.from_json(kind, path.read_bytes())
        except FileNotFoundError:
            return None

    @staticmethod
    def write(path: Path, document: Submission | Run) -> None:
        """Replace a file. Readers see the old file or the complete new one."""
        part = path.with_suffix(f".{os.uname().nodename}-{os.getpid()}.part")
        part.write_bytes(codec.to_json(document))
        part.replace(path)


def run(folder: Folder, name: str, restarts: int, command: Sequence[str]) -> int:
    """Run the worker once, on a node; requeue the job if another run may succeed. Return the process's exit code.

    Args:
        folder: The shared folder.
        name: Name of the job.
        restarts: How often a worker may be started again.
        command: Command of the worker, with the attempt's URI.
    """
    job = os.environ["SLURM_JOB_ID"]
    stopped = stop_event()
    begin = time.monotonic()
    while not (submission := _own(folder, name, job)):
        if stopped.wait(0.1) or time.monotonic() - begin > _SUBMISSION_SECONDS:
            return 1
    done = submission.restarts + int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    folder.write(folder.run(name), Run(job, done))
    exit_file = folder.path / f"{name}.exit"
    exit_file.unlink(missing_ok=True)
    variables = {"FACEFOUNDRY_WORKER_TERMINATION_LOG": str(exit_file), "FACEFOUNDRY_WORKER_ID": f"{name}-{job}-{done}"}
    worker = subprocess.Popen(command, env={**os.environ, **variables}, stdin=subprocess.DEVNULL)
    while worker.poll() is None:
        if stopped.wait(0.1):
            worker.terminate()
            worker.wait()  # Slurm kills both after its KillWait
    code = worker.returncode
    try:
        report = codec.from_json(ExitReport, exit_file.read_bytes())
    except (OSError, DataLoss):
        report = None
    ended = code in FINAL or done >= restarts
    if _own(folder, name, job):  # not cancelled
        folder.write(folder.run(name), Run(job, done if ended else done + 1, code, report, ended))
        if not ended:
            slurm("scontrol", "requeue", job)  # Slurm ends this process, and delays the next run
    return 0


def _own(folder: Folder, name: str, job: str) -> Submission | None:
    """Return the submission of this job; None if there is none, or it names another job."""
    submission = folder.read(Submission, folder.submission(name))
    return submission if submission and submission.job == job else None


def slurm(*command: str, stdin: str = "") -> str:
    """Run a command of Slurm and return its output.

    Raises:
        Busy: Slurm accepts no more jobs of this user.
        Unavailable: Slurm does not answer.
        Internal: Slurm refuses the command, or is not installed.
    """
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{command[0]} did not answer within 60 s.", reason="SLURM_UNAVAILABLE") from error
    except OSError as error:
        raise Internal(f"Expected the commands of Slurm on this machine. {error}.", reason="SLURM") from error
    if done.returncode:
        raise _error(f"{command[0]} failed: {done.stderr.strip()[:500]}")
    return done.stdout


def _error(message: str) -> FaceFoundryError:
    if "SubmitJob" in message or "SubmitLimit" in message:  # such as QOSMaxSubmitJobPerUserLimit
        return Busy(message, reason="SLURM_FULL")
    if any(words in message for words in ("Unable to contact", "timed out", "Connection")):
        return Unavailable(message, reason="SLURM_UNAVAILABLE")
    return Internal(f"{message} Check the settings FACEFOUNDRY_SLURM_*.", reason="SLURM")


if __name__ == "__main__":
    sys.exit(run(Folder(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3]), sys.argv[4:]))
