"""The methods of TrainerService; the modules `trainings` and `imports` do their work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import grpc

from facefoundry import codec
from facefoundry.errors import Interrupted
from facefoundry.rpc.call import Pause
from facefoundry.rpc.files import StoredFiles
from facefoundry.storage.info import ModelInfo
from facefoundry.storage.uploads import Uploads
from facefoundry.v1 import files_pb2, trainer_pb2, trainer_pb2_grpc
from facefoundry.work.messages import Progress
from facefoundry.work.runner import Committed
from services.trainer.imports import Imports
from services.trainer.messages import ENDED
from services.trainer.settings import TrainerSettings
from services.trainer.trainings import Trainings
from services.trainer.watch_streams import TrainingStream

__all__ = ["TrainerServicer"]


class TrainerServicer(trainer_pb2_grpc.TrainerServiceServicer):
    """Serves the methods that start, return, list, watch and cancel trainings, and those that import and list models.

    Args:
        trainings: Starts, finds and stops trainings.
        uploads: Makes uploads of weights.
        imports: Imports models.
        files: Lists the files of models.
        settings: Settings of the trainer; `poll_seconds` and `heartbeat_seconds` are used.
        draining: Event that is set when this process is shutting down.
        clock: Returns a monotonic time, seconds.
    """

    def __init__(
        self,
        trainings: Trainings,
        uploads: Uploads,
        imports: Imports,
        files: StoredFiles,
        settings: TrainerSettings,
        draining: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trainings = trainings
        self._uploads = uploads
        self._imports = imports
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
        trainings, token = self._trainings.list(
            request.dataset, request.page_size, request.page_token, context.is_active
        )
        return trainer_pb2.ListTrainingsResponse(trainings=trainings, next_page_token=token)

    def WatchTraining(  # type: ignore[override]  # pauses are no responses
        self, request: trainer_pb2.WatchTrainingRequest, context: grpc.ServicerContext
    ) -> Iterator[trainer_pb2.WatchTrainingResponse | Pause]:
        """Send the training on every change, and at least every `heartbeat_seconds`, until it ends.

        Between two looks at the training it pauses.

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
            yield Pause(poll)
            if self._draining.is_set():
                raise Interrupted("This trainer is shutting down. Watch the training again; another replica answers.")

    def WatchTrainings(  # type: ignore[override]  # pauses are no responses
        self, request: trainer_pb2.WatchTrainingsRequest, context: grpc.ServicerContext
    ) -> Iterator[trainer_pb2.WatchTrainingsResponse | Pause]:
        """Send the trainings of a label, then each one that changes, and a message at least every `heartbeat_seconds`.

        Raises:
            Interrupted: this process is shutting down.
        """
        poll, sent_at = self._settings.poll_seconds, float("-inf")
        with self._trainings.watch(request.dataset) as watch:
            stream = TrainingStream(watch, request.position, self._settings.max_message_bytes)
            while context.is_active():
                for message in stream.messages(context.is_active):
                    yield message
                    sent_at = self._clock()
                if self._clock() - sent_at + poll > self._settings.heartbeat_seconds:
                    yield trainer_pb2.WatchTrainingsResponse(position=stream.position)
                    sent_at = self._clock()
                yield Pause(poll)
                if self._draining.is_set():
                    raise Interrupted("This trainer is shutting down. Watch again; another replica answers.")

    def CancelTraining(
        self, request: trainer_pb2.CancelTrainingRequest, context: grpc.ServicerContext
    ) -> trainer_pb2.CancelTrainingResponse:
        """Stop one training."""
        return trainer_pb2.CancelTrainingResponse(training=self._trainings.cancel(request.training_uri))

    def CreateUpload(
        self, request: files_pb2.CreateUploadRequest, context: grpc.ServicerContext
    ) -> files_pb2.CreateUploadResponse:
        """Return URLs to put weights to."""
        return self._uploads.create(request)

    def ImportModel(
        self, request: trainer_pb2.ImportModelRequest, context: grpc.ServicerContext
    ) -> Iterator[trainer_pb2.ImportModelResponse]:
        """Make a model of stored weights, or return the model that they became before."""
        for event in self._imports.run(request, context):
            if isinstance(event, Progress):
                yield trainer_pb2.ImportModelResponse(progress=event.to_proto())
            else:
                yield trainer_pb2.ImportModelResponse(model=_model(event))

    def ListFiles(
        self, request: files_pb2.ListFilesRequest, context: grpc.ServicerContext
    ) -> files_pb2.ListFilesResponse:
        """List the files of a model, trained or imported."""
        return self._files.list(request)


@dataclass(frozen=True)
class _Faces:
    """The field of an architecture that callers are told."""

    face_size: int


def _model(done: Committed) -> trainer_pb2.Model:
    info = done.manifest.info_as(ModelInfo)
    return trainer_pb2.Model(
        uri=done.uri,
        content_digest=done.manifest.content_digest,
        iterations=info.iterations,
        face_size=codec.from_values(_Faces, info.architecture or {}).face_size,
        reused=done.reused,
    )
