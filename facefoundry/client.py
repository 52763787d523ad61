"""The client of the three services, which repeats failed calls.

It opens an interrupted stream again, and the service resumes the work. It asks a full replica again until a slot is
free. It raises an error only if a call makes no progress for `retry_seconds`, or if repeating the call cannot help.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Protocol, TypeVar

import grpc
from google.protobuf.message import Message

from facefoundry.errors import Cancelled, Unavailable
from facefoundry.rpc.channel import open_channel
from facefoundry.rpc.retries import Retries
from facefoundry.rpc.status import from_rpc_error
from facefoundry.settings import ChannelSettings, read
from facefoundry.storage import keys
from facefoundry.v1 import (
    common_pb2,
    converter_pb2,
    converter_pb2_grpc,
    extractor_pb2,
    extractor_pb2_grpc,
    files_pb2,
    info_pb2,
    info_pb2_grpc,
    recipe_pb2,
    trainer_pb2,
    trainer_pb2_grpc,
)

__all__ = ["ENDED", "SERVICES", "Client", "OnProgress"]

SERVICES = ("extractor", "trainer", "converter")
ENDED = (
    trainer_pb2.Training.STATE_SUCCEEDED,
    trainer_pb2.Training.STATE_FAILED,
    trainer_pb2.Training.STATE_CANCELLED,
)
"""States in which a training has ended."""

OnProgress = Callable[[common_pb2.Progress], None]


class _Event(Protocol):
    """A message in the response stream of an extraction, an import, a conversion or a transcoding."""

    @property
    def progress(self) -> common_pb2.Progress: ...


Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response")
Event = TypeVar("Event", bound=_Event)
Result = TypeVar("Result")

_UNARY_SECONDS = 60.0
_PAGE_FILES = 500
_INSPECT_SECONDS = 600.0
_ENDED_EARLY = (
    "Expected a stream that ends with a result. It ended without one. Repeat the call: the service resumes its work."
)


def _ignore(progress: common_pb2.Progress) -> None:
    """Do nothing; the default for `on_progress`."""


class Client:
    """Calls the extractor, the trainer and the converter; safe to share between threads.

    The recipe in a request names a recipe of the service and overrides some of its fields.

    Args:
        settings: Addresses and TLS files; by default read from environment variables such as
            `FACEFOUNDRY_EXTRACTOR_ADDRESS`.
        retry_seconds: How long to repeat a call that makes no progress because a service or the store does not answer.

    Example:
        with Client() as client:
            extraction = client.extract(source_uri, "033", Recipe(name="ffpp"))
    """

    def __init__(self, settings: ChannelSettings | None = None, *, retry_seconds: float = 300.0) -> None:
        settings = settings or read(ChannelSettings)
        self._addresses = {
            "extractor": settings.extractor_address,
            "trainer": settings.trainer_address,
            "converter": settings.converter_address,
        }
        self._channels = {name: open_channel(address, settings) for name, address in self._addresses.items()}
        self._extractor = extractor_pb2_grpc.ExtractorServiceStub(self._channels["extractor"])
        self._trainer = trainer_pb2_grpc.TrainerServiceStub(self._channels["trainer"])
        self._converter = converter_pb2_grpc.ConverterServiceStub(self._channels["converter"])
        self._retry_seconds = retry_seconds
        self._stopped = threading.Event()
        self._streams: set[grpc.RpcContext] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Cancel every running call and close the connections."""
        self.stop()
        for channel in self._channels.values():
            channel.close()

    def stop(self) -> None:
        """Make every running and every later call raise Cancelled. Trainings continue: they do not depend on calls."""
        self._stopped.set()
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            stream.cancel()

    def wait(self, seconds: float) -> bool:
        """Wait, but no longer than until `stop` is called. Return whether it was called."""
        return self._stopped.wait(seconds)

    def raise_if_stopped(self) -> None:
        """Raise Cancelled if `stop` was called."""
        if self._stopped.is_set():
            raise Cancelled("The client was stopped.")

    def info(self, service: str, timeout_seconds: float = 10.0) -> info_pb2.GetInfoResponse:
        """Return the version, recipes, slots and store of a service. This call is not repeated if it fails.

        Args:
            service: `extractor`, `trainer` or `converter`.
            timeout_seconds: How long to wait for the answer.
        """
        stub = info_pb2_grpc.InfoServiceStub(self._channels[service])
        try:
            return stub.GetInfo(info_pb2.GetInfoRequest(), timeout=timeout_seconds)
        except grpc.RpcError as error:
            raise from_rpc_error(error, self._addresses[service]) from error

    def inspect(self, source_uri: str, sample_frames: int = 0, engine: str = "") -> extractor_pb2.InspectResponse:
        """Return size and frame rate of a stored clip, and the number of faces in some of its frames; store nothing.

        Args:
            source_uri: URI of the clip.
            sample_frames: Number of evenly spaced frames to search for faces, at most 64.
            engine: Name of the engine that searches; if empty, the engine of the recipe `ffpp`.
        """
        request = extractor_pb2.InspectRequest(source_uri=source_uri, sample_frames=sample_frames, engine=engine)
        return self._unary("extractor", self._extractor.Inspect, request, _INSPECT_SECONDS)

    def extract(
        self,
        source_uri: str,
        sequence_id: str,
        recipe: recipe_pb2.Recipe,
        on_progress: OnProgress = _ignore,
        subject: extractor_pb2.Subject | None = None,
        excluded_frames: Iterable[recipe_pb2.FrameRange] = (),
    ) -> extractor_pb2.Extraction:
        """Extract the faces of a sequence, or return the stored result.

        Args:
            source_uri: URI of the clip.
            sequence_id: Id of the sequence.
            recipe: Name of a recipe of the service, and overrides.
            on_progress: Called with each progress message.
            subject: Who the subject is; None for the recipe's rule.
            excluded_frames: Frames that are neither trained on nor swapped, in ascending order.
        """
        request = extractor_pb2.ExtractRequest(
            source_uri=source_uri,
            sequence_id=sequence_id,
            recipe=recipe,
            subject=subject,
            excluded_frames=excluded_frames,
        )
        return self._run(
            "extractor",
            self._extractor.Extract,
            request,
            lambda event: event.extraction if event.HasField("extraction") else None,
            on_progress,
        )

    def convert(
        self, request: converter_pb2.ConvertRequest, on_progress: OnProgress = _ignore
    ) -> converter_pb2.Conversion:
        """Make a fake, or return the stored result. `on_progress` is called with each progress message."""
        return self._run(
            "converter",
            self._converter.Convert,
            request,
            lambda event: event.conversion if event.HasField("conversion") else None,
            on_progress,
        )

    def transcode(
        self,
        source_uri: str,
        sequence_id: str,
        recipe: recipe_pb2.Recipe,
        on_progress: OnProgress = _ignore,
    ) -> converter_pb2.Transcoding:
        """Encode a real video at every compression level, or return the stored result; arguments as in `extract`."""
        request = converter_pb2.TranscodeRequest(source_uri=source_uri, sequence_id=sequence_id, recipe=recipe)
        return self._run(
            "converter",
            self._converter.Transcode,
            request,
            lambda event: event.transcoding if event.HasField("transcoding") else None,
            on_progress,
        )

    def create_upload(self, service: str, request: files_pb2.CreateUploadRequest) -> files_pb2.CreateUploadResponse:
        """Return URLs to put a file to, for an import.

        Args:
            service: The service that will import the file, `extractor` or `trainer`.
            request: Name, size and SHA-256 of the file.
        """
        method = self._extractor.CreateUpload if service == "extractor" else self._trainer.CreateUpload
        return self._unary(service, method, request)

    def import_source(
        self, request: extractor_pb2.ImportSourceRequest, on_progress: OnProgress = _ignore
    ) -> extractor_pb2.Source:
        """Make a source of an uploaded clip or of another object, or return the source if it was imported before."""
        return self._run(
            "extractor",
            self._extractor.ImportSource,
            request,
            lambda event: event.source if event.HasField("source") else None,
            on_progress,
        )

    def import_model(
        self, request: trainer_pb2.ImportModelRequest, on_progress: OnProgress = _ignore
    ) -> trainer_pb2.Model:
        """Make a model of uploaded weights, or return the model if it was imported before."""
        return self._run(
            "trainer",
            self._trainer.ImportModel,
            request,
            lambda event: event.model if event.HasField("model") else None,
            on_progress,
        )

    def list_files(self, uri: str) -> Iterator[files_pb2.StoredFile]:
        """Yield the files of a source, extraction, model or conversion, by name, with URLs to get them from."""
        kind = keys.kind_of(uri)
        service = next((name for name, kinds in keys.LISTED.items() if kind in kinds), "extractor")
        lists = {"trainer": self._trainer.ListFiles, "converter": self._converter.ListFiles}
        request = files_pb2.ListFilesRequest(uri=uri, page_size=_PAGE_FILES)
        while True:
            page = self._unary(service, lists.get(service, self._extractor.ListFiles), request)
            yield from page.files
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    def start_training(self, request: trainer_pb2.StartTrainingRequest) -> trainer_pb2.Training:
        """Start the training of a pair and return its state; one that is running or finished is not started again."""
        return self._unary("trainer", self._trainer.StartTraining, request).training

    def get_training(self, training_uri: str) -> trainer_pb2.Training:
        """Return the current state of a training."""
        request = trainer_pb2.GetTrainingRequest(training_uri=training_uri)
        return self._unary("trainer", self._trainer.GetTraining, request).training

    def cancel_training(self, training_uri: str) -> trainer_pb2.Training:
        """Stop a training, keep its checkpoints, and return its state."""
        request = trainer_pb2.CancelTrainingRequest(training_uri=training_uri)
        return self._unary("trainer", self._trainer.CancelTraining, request).training

    def list_trainings(self, dataset: str = "") -> Iterator[trainer_pb2.Training]:
        """Yield the trainings of one dataset run, newest first; of all runs if `dataset` is empty."""
        token = ""
        while True:
            request = trainer_pb2.ListTrainingsRequest(dataset=dataset, page_token=token)
            page = self._unary("trainer", self._trainer.ListTrainings, request)
            yield from page.trainings
            token = page.next_page_token
            if not token:
                return

    def watch_training(self, training_uri: str) -> Iterator[trainer_pb2.Training]:
        """Yield the state of a training now and after every change, until it has ended."""
        request = trainer_pb2.WatchTrainingRequest(training_uri=training_uri)
        retries = self._retries()
        while True:
            try:
                for message in self._stream(self._trainer.WatchTraining, request):
                    retries.progressed()
                    yield message.training
                    if message.training.state in ENDED:
                        return
                retries.wait_after(Unavailable(_ENDED_EARLY, reason="STREAM_ENDED"))
            except grpc.RpcError as error:
                retries.wait_after(from_rpc_error(error, self._addresses["trainer"]))

    def watch_trainings(self, dataset: str) -> Generator[trainer_pb2.Training, None, None]:
        """Yield the trainings of a dataset run, then each one that is new or has changed, without an end.

        A stream that was cut is opened again, and continues where it was.
        """
        request = trainer_pb2.WatchTrainingsRequest(dataset=dataset)
        retries = self._retries()
        while True:
            try:
                for message in self._stream(self._trainer.WatchTrainings, request):
                    retries.progressed()
                    yield from message.trainings
                    request.position = message.position
                retries.wait_after(Unavailable(_ENDED_EARLY, reason="STREAM_ENDED"))
            except grpc.RpcError as error:
                retries.wait_after(from_rpc_error(error, self._addresses["trainer"]))

    def _run(
        self,
        service: str,
        method: grpc.UnaryStreamMultiCallable[Request, Event],
        request: Request,
        result_of: Callable[[Event], Result | None],
        on_progress: OnProgress,
    ) -> Result:
        """Return the result of a streaming call; open the stream again each time it is interrupted."""
        retries = self._retries()
        furthest: dict[str, int] = {}
        result: Result | None = None
        while True:
            try:
                for event in self._stream(method, request):
                    found = result_of(event)
                    if found is not None:
                        result = found
                        continue  # read to the end: the service would count a stream closed here as a cancelled call
                    progress = event.progress
                    if progress.done > furthest.get(progress.stage, -1):
                        furthest[progress.stage] = progress.done
                        retries.progressed()  # only new progress counts, or a call that fails at one place would loop
                    on_progress(progress)
                if result is not None:
                    return result
                retries.wait_after(Unavailable(_ENDED_EARLY, reason="STREAM_ENDED"))
            except grpc.RpcError as error:
                if result is not None:
                    return result
                retries.wait_after(from_rpc_error(error, self._addresses[service]))

    def _stream(self, method: grpc.UnaryStreamMultiCallable[Request, Response], request: Request) -> Iterator[Response]:
        stream = method(request)
        with self._lock:
            self._streams.add(stream)
        try:
            self.raise_if_stopped()
            yield from stream
        finally:
            stream.cancel()
            with self._lock:
                self._streams.discard(stream)

    def _unary(
        self,
        service: str,
        method: grpc.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        timeout_seconds: float = _UNARY_SECONDS,
    ) -> Response:
        retries = self._retries()
        while True:
            self.raise_if_stopped()
            try:
                return method(request, timeout=timeout_seconds)
            except grpc.RpcError as error:
                retries.wait_after(from_rpc_error(error, self._addresses[service]))

    def _retries(self) -> Retries:
        return Retries(self._retry_seconds, self.wait)
