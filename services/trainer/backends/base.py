"""The interface of backends, the places where workers run.

To a backend, a job is a name and the URI of an attempt; it knows nothing about pairs and recipes. The worker's exit
code decides whether the backend restarts it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum

from services.trainer.worker_protocol import ExitReport

__all__ = ["Diagnosis", "Job", "JobState", "TrainingBackend"]


class JobState(Enum):
    """The state of a job in its backend."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


@dataclass(frozen=True)
class Diagnosis:
    """Why a job is not running, or how its newest worker ended, as the backend observed it.

    Attributes:
        reason: Reason in UPPER_SNAKE.
        message: Sentences that say what is wrong and what to do.
    """

    reason: str
    message: str


@dataclass(frozen=True)
class Job:
    """The state of one attempt in a backend; a job may run several workers, one after the other.

    Attributes:
        name: Name of the job.
        state: State of the job; it is queued while a worker waits to be started or restarted.
        restarts: How often a worker was restarted.
        exit_code: Exit code of the newest worker; negative if a signal ended it, None while it runs.
        exit_report: Exit report of the newest worker that has ended, if it wrote one.
        diagnosis: Why the job is waiting, or how its newest worker ended; None if there is nothing to report.
    """

    name: str
    state: JobState
    restarts: int = 0
    exit_code: int | None = None
    exit_report: ExitReport | None = None
    diagnosis: Diagnosis | None = None


class TrainingBackend(ABC):
    """Runs workers until they are done.

    A worker that exits with `ExitCode.DONE` has succeeded. One that exits with another code of
    `worker_protocol.FINAL` has failed and is not restarted. After any other exit code, such as `ExitCode.INTERRUPTED`,
    the backend restarts the worker. It counts the restarts and has a limit for them.

    Jobs outlive the trainer's process, unless the backend runs them in it. A job that ended must stay known until a
    trainer has read its state, which may be days later. A job that the backend does not know counts as lost: if its
    training has no model, the trainer starts the job again.

    Attributes:
        name: The name by which the backend is chosen, such as `local`.
    """

    name: str

    @abstractmethod
    def start(self, name: str, attempt_uri: str) -> None:
        """Create a job, or do nothing if it exists, running or ended.

        Several replicas of the trainer may call this at the same time; exactly one job must result.

        Args:
            name: Name of the job: at most 63 characters of `[a-z0-9-]`.
            attempt_uri: URI of the attempt, the only argument of the worker.

        Raises:
            Unavailable: the backend does not respond.
            Busy: the backend accepts no more jobs at the moment, such as a scheduler whose queue is full.
            Conflict: a job of this name exists for another attempt (JOB_EXISTS).
            Denied: the backend refuses the job.
            Internal: the backend is configured wrongly.
        """

    @abstractmethod
    def get(self, name: str) -> Job | None:
        """Return a job, or None if the job was never created, was removed or was cancelled.

        Raises:
            Unavailable: the backend does not respond.
        """

    @abstractmethod
    def cancel(self, name: str) -> None:
        """Stop a job's worker and remove the job, or do nothing if the job is unknown.

        The worker gets SIGTERM and about 20 s to write a checkpoint; the call does not wait for its end.

        Raises:
            Unavailable: the backend does not respond.
        """

    @abstractmethod
    def close(self) -> None:
        """Release the backend's resources, and stop every worker that must not outlive this process.

        A second call does nothing.
        """
