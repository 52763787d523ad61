"""The interface of backends, the places where workers run. A backend knows job names and exit codes, but no pairs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum

from services.trainer.worker_protocol import ExitReport

__all__ = ["Diagnosis", "Job", "JobState", "TrainingBackend"]


class JobState(Enum):
    """State of a job."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


@dataclass(frozen=True)
class Diagnosis:
    """Why a job is not running, or how its newest worker ended, as the backend observed it.

    Attributes:
        reason: UPPER_SNAKE.
        message: A sentence that says what to do.
    """

    reason: str
    message: str


@dataclass(frozen=True)
class Job:
    """The run of one attempt in a backend.

    Attributes:
        name: Name of the job.
        state: State; an interrupted worker that will be restarted counts as queued.
        restarts: How often the worker was restarted.
        exit_code: Exit code of the newest worker; negative for a signal, None while it runs.
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

    A worker that exits with `ExitCode.DONE` has succeeded, and `BAD_INPUT` is final. After any other exit code, that of
    an interrupted worker included, the backend restarts the worker, up to a limit of its own. It counts the restarts.

    Jobs outlive the trainer's process if the place does. A job that ended must stay known until a trainer has read it,
    which may be days later. The trainer takes an unknown job for a lost one: without a model, it restarts it.

    Attributes:
        name: The name by which the backend is chosen, such as `local`.
    """

    name: str

    @abstractmethod
    def start(self, name: str, attempt_uri: str) -> None:
        """Create a job, or do nothing if it exists, running or ended.

        Several replicas may call this at the same time; exactly one job must result.

        Args:
            name: Name of the job, `[a-z0-9-]`, at most 63 characters.
            attempt_uri: The worker's only argument.

        Raises:
            Unavailable: the backend does not respond.
            Busy: the backend accepts no more jobs at the moment.
            Conflict: a job of this name has another URI: that of a trainer with another bucket.
            Denied: the backend refuses the job.
            Internal: the backend is configured wrongly.
        """

    @abstractmethod
    def get(self, name: str) -> Job | None:
        """Return a job, or None if it is unknown, was removed or was cancelled.

        Raises:
            Unavailable: the backend does not respond.
        """

    @abstractmethod
    def cancel(self, name: str) -> None:
        """Stop a job's worker and remove the job. Unknown names are no error.

        The worker gets SIGTERM and some 20 s for a last checkpoint; the call does not wait for its end.

        Raises:
            Unavailable: the backend does not respond.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop everything that must not outlive this process. A second call does nothing."""
