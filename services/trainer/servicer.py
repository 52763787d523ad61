"""The methods of TrainerService; the module `trainings` does their work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import grpc

from facefoundry.errors import Interrupted
from facefoundry.rpc.files import StoredFiles
from facefoundry.v1 import files_pb2, trainer_pb2, trainer_pb2_grpc
from services.trainer.settings import TrainerSettings
from services.trainer.trainings import ENDED, Trainings

__all__ = ["TrainerServicer"]


class TrainerServicer(trainer_pb2_grpc.TrainerServiceServicer):
    """Serves the methods that start, return, list, watch and cancel trainings.

    Args:
        trainings: Starts, finds and stops trainings.
        files: Lists the files of models.
        settings: Settings of the trainer; `poll_seconds` and `heartbeat_seconds` are used.
        draining: Event that is set when this process is shutting down.
        clock: Returns a monotonic time, seconds.
    """

    def __init__(
        self,
        trainings: Trainings,
        files: StoredFiles,
        settings: TrainerSettings,
        draining: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trainings = trainings
        self._files = files
        self._settings = settings
        self._draining = draining
        self._clock = clock

    def StartTraining(
        self, request: trainer_pb2.StartTrainingRequest, context: grpc.ServicerContext
    ) -> trainer_pb2.StartTrainingResponse:
        """Start a pair's training and return its state; a training that is running or done is not started again."""
        return trainer_pb2.StartTrainingResponse(training=self._trainings.start(request))

    def GetTraining(
        self, request: trainer_pb2.GetTrainingRequest, context: grpc.ServicerContext
    ) -> trainer_pb2.GetTrainingResponse:
        """Return one training."""
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
        """Send the training on every change, and at least every `heartbeat_seconds`, until it ends.

        Raises:
            Interrupted: this process is shutting down.
        """
        poll = self._settings.poll_seconds
        sent: trainer_pb2.Training | None = None
        sent_at = 0.0
        while context.is_active():
            training = self._trainings.follow(request.training_uri, max_age_seconds=poll / 2)
            if training != sent or self._clock() - sent_at + poll > self._settings.heartbeat_seconds:
                yield trainer_pb2.WatchTrainingResponse(training=training)
                sent, sent_at = training, self._clock()
            if training.state in ENDED:
                return
            if self._draining.wait(poll):
                raise Interrupted("This trainer is shutting down. Watch the training again; another replica answers.")

    def CancelTraining(
        self, request: trainer_pb2.CancelTrainingRequest, context: grpc.ServicerContext
    ) -> trainer_pb2.CancelTrainingResponse:
        """Stop one training."""
        return trainer_pb2.CancelTrainingResponse(training=self._trainings.cancel(request.training_uri))

    def ListFiles(
        self, request: files_pb2.ListFilesRequest, context: grpc.ServicerContext
    ) -> files_pb2.ListFilesResponse:
        """List the files of a model, trained or imported."""
        return self._files.list(request)
