"""The interface of places that run workers, in types of our own; a backend knows names and exit codes, no pairs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum

from services.trainer.worker_protocol import ExitReport

__all__ = ["Job", "JobState", "TrainingBackend", "Diagnosis"]


class JobState(Enum):
    """Where a job stands."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


@dataclass(frozen=True)
class Diagnosis:
    """What keeps a job from running, or ended its newest worker, as its backend saw it from outside.

    Attributes:
        reason: UPPER_SNAKE.
        message: A sentence that says what to do.
    """

    reason: str
    message: str


@dataclass(frozen=True)
class Job:
    """One attempt as its backend sees it.

    Attributes:
        name: Its name.
        state: Where it stands; an interrupted worker that will be started again counts as queued.
        restarts: Times its worker was started again.
        exit_code: How the newest worker ended; negative is a signal's number, none while it runs.
        exit_report: The last words of the newest worker that has ended, if it had any.
        diagnosis: Why it waits, or how its newest worker ended; none when there is nothing to say.
    """

    name: str
    state: JobState
    restarts: int = 0
    exit_code: int | None = None
    exit_report: ExitReport | None = None
    diagnosis: Diagnosis | None = None


class TrainingBackend(ABC):
    """Runs workers until they are done.

    A worker that ends with `ExitCode.DONE` has succeeded; `BAD_INPUT` is final; after everything else it is started
    again, as many times as the backend allows.
    """

    name: str

    @abstractmethod
    def start(self, name: str, attempt_uri: str) -> None:
        """Take a job on, or do nothing when its name is known: it may be called again at any time, by any replica.

        Args:
            name: Name of the job, `[a-z0-9-]`, at most 63 characters.
            attempt_uri: The worker's argument.

        Raises:
            Unavailable: the backend does not answer.
            Busy: it takes no more jobs for now.
            Conflict: the name is taken by another job.
            Denied: it refuses the job.
            Internal: it is set up wrongly.
        """

    @abstractmethod
    def get(self, name: str) -> Job | None:
        """Look at a job; nothing when it is unknown, forgotten or cancelled.

        Raises:
            Unavailable: the backend does not answer.
        """

    @abstractmethod
    def cancel(self, name: str) -> None:
        """Stop a job's worker, which may write a last checkpoint, and forget the job; unknown names are no error.

        Raises:
            Unavailable: the backend does not answer.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of everything that would outlive this process against its nature."""
