"""One of several trainers of a bucket, and a hook between its steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from facefoundry.v1 import trainer_pb2
from services.trainer.backends.base import Job, TrainingBackend
from services.trainer.trainings import Trainings
from tests.waiting import wait_until


class HookedBackend(TrainingBackend):
    """A backend that calls a function once, right before one of its methods."""

    def __init__(self, backend: TrainingBackend) -> None:
        self.name = backend.name
        self._backend = backend
        self._hooks: dict[str, Callable[[], object]] = {}

    def before(self, method: str, act: Callable[[], object]) -> None:
        """Call `act` right before the next call of a method."""
        self._hooks[method] = act

    def start(self, name: str, attempt_uri: str) -> None:
        self._call_hook("start")
        self._backend.start(name, attempt_uri)

    def get(self, name: str) -> Job | None:
        self._call_hook("get")
        return self._backend.get(name)

    def cancel(self, name: str) -> None:
        self._call_hook("cancel")
        self._backend.cancel(name)

    def close(self) -> None:
        self._backend.close()

    def _call_hook(self, method: str) -> None:
        if act := self._hooks.pop(method, None):
            act()


@dataclass(frozen=True)
class Replica:
    """One trainer: its trainings and the backend under them."""

    trainings: Trainings
    backend: HookedBackend

    def wait_for(self, uri: str, *states: int) -> trainer_pb2.Training:
        """Wait until a training is in one of these states."""
        wait_until(lambda: self.trainings.get(uri).state in states, 20.0)
        return self.trainings.get(uri)
