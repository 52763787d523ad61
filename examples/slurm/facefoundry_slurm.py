"""The backend `slurm`: each attempt is a batch job of Slurm, which runs the worker on a compute node.

The module `facefoundry_slurm_node` is what runs on the node; its docstring describes the shared folder.
"""

from __future__ import annotations

import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from facefoundry_slurm_node import Folder, Run, Submission, slurm
from pydantic import Field

from facefoundry.errors import Conflict, Internal, Unavailable
from facefoundry.settings import Settings, read
from services.trainer.backends.base import Diagnosis, Job, JobState, TrainingBackend
from services.trainer.settings import TrainerSettings
from services.trainer.worker_protocol import ExitCode

__all__ = ["SlurmBackend", "SlurmSettings", "load"]

_ENDED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED"),
    *("NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"),
}
"""States of jobs that have ended. Slurm may still requeue them."""
_ACTIVE = ("RUNNING", "COMPLETING")


class SlurmSettings(Settings):
    """Settings of the backend; the variable of a field is `FACEFOUNDRY_<FIELD>`."""

    slurm_folder: Path = Field(description="Folder that trainer and nodes share, in which file locks work.")
    slurm_partition: str = Field("", description="Partition of the jobs; Slurm's default if empty.")
    slurm_account: str = Field("", description="Account that pays for the jobs; the user's default if empty.")
    slurm_gres: str = Field("", description="Devices of a worker, such as `gpu:1`; none if empty.")
    slurm_time: str = Field("24:00:00", description="Time limit of one run; a training continues in the next run.")
    slurm_options: str = Field("", description="Further options of sbatch, such as `--mem=32G --cpus-per-task=8`.")
    slurm_python: str = Field(sys.executable, description="Python on the nodes that has this package installed.")
    slurm_env_file: Path | None = Field(None, description="File of variables for the worker: lines NAME=VALUE.")
    slurm_restarts: int = Field(20, ge=0, description="How often a worker may be started again, preemptions included.")
    slurm_poll_seconds: float = Field(5.0, ge=0, description="Age up to which a listing of squeue is used again.")
    slurm_lost_seconds: float = Field(60.0, ge=0, description="Time without a job in squeue until it counts as lost.")


class Listed(NamedTuple):
    """A job in the output of squeue: its state, and why it waits."""

    state: str
    reason: str


class SlurmBackend(TrainingBackend):
    """Submits one job for each attempt, and derives its state from squeue and from the files of the shared folder.

    Args:
        settings: Settings of this backend.
        command: Command that starts a worker on a node; the attempt's URI is appended.
        clock: Returns a monotonic time, seconds.
    """

    name = "slurm"

    def __init__(
        self,
        settings: SlurmSettings,
        command: Sequence[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._clock = settings, clock
        self._command = command or (settings.slurm_python, "-m", "services.trainer.worker")
        self._folder = Folder(settings.slurm_folder.resolve())
        self._folder.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._squeue_lock = threading.Lock()
        self._listing: dict[str, Listed] = {}
        self._listed_at: float | None = None
        self._missing_since: dict[str, float] = {}

    def start(self, name: str, attempt_uri: str) -> None:
        """Submit the job of an attempt, or do nothing if it was submitted."""
        with self._folder.locked():
            known = self._folder.read(Submission, self._folder.submission(name))
            if known is None:
                self._submit(name, attempt_uri, 0)
            elif known.uri != attempt_uri:
                raise Conflict(
                    f"The job {name} was already started for {known.uri}, so it cannot run {attempt_uri}. "
                    "Use a folder of its own (FACEFOUNDRY_SLURM_FOLDER) for each bucket.",
                    reason="JOB_EXISTS",
                )

    def get(self, name: str) -> Job | None:
        """Return a job, or None if it was never started or was cancelled. A job that Slurm lost is submitted again."""
        submission = self._folder.read(Submission, self._folder.submission(name))
        if submission is None:
            return None
        listed = self._squeue().get(submission.job)  # before the run's file, which the node writes before the job ends
        newest = self._folder.read(Run, self._folder.run(name))
        run = newest if newest and newest.job == submission.job else Run(submission.job, submission.restarts)
        report = run.exit_report
        if run.ended:
            state = JobState.SUCCEEDED if run.exit_code == ExitCode.DONE else JobState.FAILED
            return Job(name, state, run.restarts, run.exit_code, report)
        if submission.failed:
            message = (
                f"Slurm ended the job {submission.job} from outside: see {name}.log, and its time and memory limits."
            )
            diagnosis = Diagnosis("SLURM_JOB_LOST", f"{message} Start the training again.")
            return Job(name, JobState.FAILED, run.restarts, -signal.SIGKILL, report, diagnosis)
        if listed is None or listed.state in _ENDED:
            return self._missing(name, submission, run)
        self._missing_since.pop(submission.job, None)
        if listed.state in _ACTIVE and newest is run and run.exit_code is None:
            return Job(name, JobState.RUNNING, run.restarts)
        waits = listed.reason not in ("", "None", "(null)")
        message = f"Slurm has not started the job {submission.job} ({listed.state}): {listed.reason}."
        diagnosis = Diagnosis("SLURM_WAITS", f"{message} `scontrol show job {submission.job}` says more.")
        return Job(name, JobState.QUEUED, run.restarts, run.exit_code, report, diagnosis if waits else None)

    def cancel(self, name: str) -> None:
        """Forget a job, and let Slurm end it: SIGTERM, and SIGKILL after Slurm's KillWait, 30 s by default."""
        with self._folder.locked():
            path = self._folder.submission(name)
            submission = self._folder.read(Submission, path)
            if submission is None:
                return
            path.unlink()  # first, so that the node does not requeue the job
            try:
                slurm("scancel", submission.job)
            except Unavailable:
                self._folder.write(path, submission)
                raise
            except Internal as error:
                if "Invalid job id" not in error.message:  # Slurm no longer knows the job
                    raise

    def close(self) -> None:
        """Do nothing, because jobs outlive the trainer."""

    def _submit(self, name: str, attempt_uri: str, restarts: int) -> None:
        """Submit a job and write its `Submission`. A job without one, after a crash in between, ends by itself."""
        settings, folder = self._settings, self._folder.path
        options = {
            "partition": settings.slurm_partition,
            "account": settings.slurm_account,
            "gres": settings.slurm_gres,
        }
        command = [
            settings.slurm_python,
            "-m",
            "facefoundry_slurm_node",
            str(folder),
            name,
            str(settings.slurm_restarts),
        ]
        lines = ["#!/bin/sh"]
        if settings.slurm_env_file:
            lines.append(f"set -a; . {shlex.quote(str(settings.slurm_env_file))} || exit 1; set +a")
        job = slurm(
            "sbatch",
            "--parsable",
            "--requeue",
            f"--job-name={name}",
            f"--chdir={folder}",
            f"--output={folder / name}.log",
            "--open-mode=append",
            "--export=NONE",  # the trainer's environment has credentials, and Slurm shows a job's environment
            "--signal=B:TERM@60",  # before the time limit, so that the worker writes a checkpoint
            f"--time={settings.slurm_time}",
            *(f"--{option}={value}" for option, value in options.items() if value),
            *shlex.split(settings.slurm_options),
            stdin="\n".join([*lines, f"exec {shlex.join([*command, *self._command, attempt_uri])}\n"]),
        )
        job = job.strip().partition(";")[0]  # "<id>;<cluster>" on a federation
        self._folder.write(self._folder.submission(name), Submission(attempt_uri, job, restarts))

    def _missing(self, name: str, submission: Submission, run: Run) -> Job | None:
        """Return a job that Slurm does not have. After `slurm_lost_seconds` it is submitted again, or has failed."""
        since = self._missing_since.setdefault(submission.job, self._clock())
        if self._clock() - since >= self._settings.slurm_lost_seconds:
            with self._folder.locked():
                if self._folder.read(Submission, self._folder.submission(name)) == submission:
                    if run.restarts < self._settings.slurm_restarts:
                        self._submit(name, submission.uri, run.restarts + 1)
                    else:
                        lost = Submission(submission.uri, submission.job, run.restarts, failed=True)
                        self._folder.write(self._folder.submission(name), lost)
            return self.get(name)
        return Job(name, JobState.QUEUED, run.restarts, run.exit_code, run.exit_report)

    def _squeue(self) -> dict[str, Listed]:
        """Return the user's jobs by id. One call of squeue serves all trainings for `slurm_poll_seconds`."""
        with self._squeue_lock:
            if self._listed_at is None or self._clock() - self._listed_at > self._settings.slurm_poll_seconds:
                output = slurm("squeue", "--me", "--noheader", "--states=all", "--format=%i|%T|%r")
                rows = (line.strip().split("|", 2) for line in output.splitlines() if line.count("|") >= 2)
                self._listing = {job: Listed(state, reason) for job, state, reason in rows}
                self._listed_at = self._clock()
            return self._listing


def load(settings: TrainerSettings) -> TrainingBackend:
    """Make the backend, with its own settings from the environment.

    Raises:
        InvalidInput: a setting is wrong or missing.
    """
    return SlurmBackend(read(SlurmSettings))
