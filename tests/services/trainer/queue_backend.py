"""A backend whose jobs wait in a queue until a test moves them."""

from __future__ import annotations

from dataclasses import replace

from services.trainer.backends.base import Diagnosis, Job, JobState, TrainingBackend


class QueueBackend(TrainingBackend):
    """Keeps its jobs in memory, and runs none.

    Attributes:
        jobs: The jobs by name.
    """

    name = "queue"

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}

    def start(self, name: str, attempt_uri: str) -> None:
        self.jobs.setdefault(name, Job(name, JobState.QUEUED))

    def get(self, name: str) -> Job | None:
        return self.jobs.get(name)

    def cancel(self, name: str) -> None:
        self.jobs.pop(name, None)

    def move(self, name: str, state: JobState) -> None:
        """Have a job be in another state."""
        self.jobs[name] = replace(self.jobs[name], state=state)

    def explain(self, name: str, reason: str, message: str) -> None:
        """Say why a job waits."""
        self.jobs[name] = replace(self.jobs[name], diagnosis=Diagnosis(reason, message))

    def close(self) -> None:
        self.jobs.clear()
