"""The TrainerService's methods; what they mean is in `trainings`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import grpc

from facefoundry.errors import Interrupted
from facefoundry.v1 import trainer_pb2, trainer_pb2_grpc
from services.trainer.settings import TrainerSettings
from services.trainer.trainings import ENDED, Trainings

__all__ = ["TrainerServicer"]


class TrainerServicer(trainer_pb2_grpc.TrainerServiceServicer):
    """Answers the calls.

    Args:
        trainings: The trainings.
        settings: Times.
        draining: Set when this process is stopping.
    """

    def __init__(self, trainings: Trainings, settings: TrainerSettings, draining: threading.Event) -> None:
        self._trainings = trainings
        self._settings = settings
        self._draining = draining

    def StartTraining(
        self, request: trainer_pb2.StartTrainingRequest, context: grpc.ServicerContext
    ) -> trainer_pb2.StartTrainingResponse:
        """Start a pair's training, or find it running or done."""
        return trainer_pb2.StartTrainingResponse(training=self._trainings.start(request))

    def GetTraining(
        self, request: trainer_pb2.GetTrainingRequest, context: grpc.ServicerContext
    ) -> trainer_pb2.GetTrainingResponse:
        """Read one training."""
        return trainer_pb2.GetTrainingResponse(training=self._trainings.get(request.training_uri))

    def ListTrainings(
        self, request: trainer_pb2.ListTrainingsRequest, context: grpc.ServicerContext
    ) -> trainer_pb2.ListTrainingsResponse:
        """List trainings, newest first."""
        trainings, token = self._trainings.list(request.dataset, request.page_size, request.page_token)
        return trainer_pb2.ListTrainingsResponse(trainings=trainings, next_page_token=token)

    def WatchTraining(
        self, request: trainer_pb2.WatchTrainingRequest, context: grpc.ServicerContext
    ) -> Iterator[trainer_pb2.WatchTrainingResponse]:
        """Send snapshots on change and as a sign of life until the training ends."""
        poll = self._settings.poll_seconds
        sent: trainer_pb2.Training | None = None
        sent_at = 0.0
        while context.is_active():
            training = self._trainings.follow(request.training_uri, newest_seconds=poll / 2)
            if training != sent or time.monotonic() - sent_at + poll > self._settings.heartbeat_seconds:
                yield trainer_pb2.WatchTrainingResponse(training=training)
                sent, sent_at = training, time.monotonic()
            if training.state in ENDED:
                return
            if self._draining.wait(poll):
                raise Interrupted("This trainer is stopping; watch the training at another replica.")

    def CancelTraining(
        self, request: trainer_pb2.CancelTrainingRequest, context: grpc.ServicerContext
    ) -> trainer_pb2.CancelTrainingResponse:
        """Stop one training."""
        return trainer_pb2.CancelTrainingResponse(training=self._trainings.cancel(request.training_uri))
