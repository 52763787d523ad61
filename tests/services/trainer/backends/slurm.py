"""The cluster of `fake_slurm.py`, as tests see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from services.trainer.backends.base import TrainingBackend


@dataclass(frozen=True)
class FakeSlurm:
    """A cluster of `fake_slurm.py`, and backends of the example that use it."""

    folder: Path
    backend: Callable[..., TrainingBackend]

    def ask(self, job: str, what: str) -> None:
        """Do something to a job of Slurm: `preempt` or `lose`."""
        (self.folder / f"{job}.{what}").touch()

    def known(self) -> list[str]:
        """The ids of the jobs that Slurm knows."""
        return sorted(path.stem for path in self.folder.glob("*.state"))

    def script(self, job: str) -> str:
        """The batch script of a job."""
        return (self.folder / f"{job}.sh").read_text()

    def options(self, job: str) -> list[str]:
        """The options with which a job was submitted."""
        return (self.folder / f"{job}.options").read_text().splitlines()

    def calls(self) -> int:
        """How often squeue was called."""
        path = self.folder / "calls"
        return len(path.read_text().splitlines()) if path.exists() else 0
