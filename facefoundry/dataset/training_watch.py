"""Follows all trainings of a run by one stream."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field

from facefoundry.client import ENDED, Client
from facefoundry.errors import DataLoss, Unavailable
from facefoundry.v1 import trainer_pb2

__all__ = ["TrainingWatch"]

OnChange = Callable[[trainer_pb2.Training], None]


@dataclass(frozen=True)
class _Follower:
    """Who follows a training, from an attempt on."""

    attempt: int
    on_change: OnChange
    ended: Future[trainer_pb2.Training] = field(default_factory=Future)

    def report(self, training: trainer_pb2.Training) -> bool:
        """Report a state, and return whether nothing more needs to be reported."""
        if training.state == trainer_pb2.Training.STATE_DAMAGED:
            failure = training.failure
            self.ended.set_exception(DataLoss(failure.message, reason=failure.reason, resource=training.uri))
            return True
        if training.attempt < self.attempt:
            return False
        try:
            self.on_change(training)
        except Exception as error:
            self.ended.set_exception(error)
            return True
        if training.state in ENDED:
            self.ended.set_result(training)
        return training.state in ENDED


class TrainingWatch:
    """Follows trainings by one stream, which is open while there are any. Threads may share it.

    Args:
        client: The client of the services.
        dataset: The label of the trainings.
    """

    def __init__(self, client: Client, dataset: str) -> None:
        self._client, self._dataset = client, dataset
        self._lock = threading.RLock()
        self._followers: dict[str, list[_Follower]] = {}
        self._newest: dict[str, trainer_pb2.Training] = {}
        self._is_open = False

    def follow(self, started: trainer_pb2.Training, on_change: OnChange) -> Future[trainer_pb2.Training]:
        """Return the training once it has ended.

        Args:
            started: The training as StartTraining returned it. States of earlier attempts are left out.
            on_change: Called with each state of it, also the last one, from any thread.

        Returns:
            The training, or why the stream failed.
        """
        follower = _Follower(started.attempt, on_change)
        follower.ended.set_running_or_notify_cancel()
        with self._lock:
            self._followers.setdefault(started.uri, []).append(follower)
            newest = self._newest.get(started.uri, started)
            self._report(newest if newest.attempt >= started.attempt else started)
            if not self._is_open and self._followers:
                self._is_open = True
                threading.Thread(target=self._watch, name="trainings", daemon=True).start()
        return follower.ended

    def _watch(self) -> None:
        error: Exception = Unavailable("The stream of the run's trainings ended. Run the same command again.")
        try:
            with closing(self._client.watch_trainings(self._dataset)) as trainings:
                for training in trainings:
                    if self._is_idle_after(training):
                        return
        except Exception as raised:
            error = raised
        for follower in self._end():
            follower.ended.set_exception(error)

    def _is_idle_after(self, training: trainer_pb2.Training) -> bool:
        with self._lock:
            self._newest[training.uri] = training
            self._report(training)
            if not self._followers:
                self._end()
                return True
        return False

    def _end(self) -> list[_Follower]:
        """Forget everything, so that the next follower opens a stream; return who is left."""
        with self._lock:
            left = [follower for group in self._followers.values() for follower in group]
            self._followers.clear()
            self._newest.clear()
            self._is_open = False
            return left

    def _report(self, training: trainer_pb2.Training) -> None:
        """Report the state of a training to its followers, and let them go if it has ended."""
        self._followers[training.uri] = [
            follower for follower in self._followers.pop(training.uri, ()) if not follower.report(training)
        ]
        if not self._followers[training.uri]:
            del self._followers[training.uri]
