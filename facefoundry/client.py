"""The SDK over the three services.

It owns the waiting: a cut stream is opened again and goes on, a full replica is asked again (waiting for capacity is no
failure), and only a service that stays silent for `retry_seconds` is an error.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from facefoundry.errors import Busy, Cancelled, FaceFoundryError, Unavailable
from facefoundry.rpc.channel import open_channel
from facefoundry.rpc.status import from_rpc_error
from facefoundry.settings import ChannelSettings
from facefoundry.v1 import (
    common_pb2,
    converter_pb2,
    converter_pb2_grpc,
    extractor_pb2,
    extractor_pb2_grpc,
    info_pb2,
    info_pb2_grpc,
    recipe_pb2,
    trainer_pb2,
    trainer_pb2_grpc,
)

__all__ = ["ENDED", "SERVICES", "Client", "OnProgress"]

SERVICES = ("extractor", "trainer", "converter")
ENDED = (
    trainer_pb2.TRAINING_STATE_SUCCEEDED,
    trainer_pb2.TRAINING_STATE_FAILED,
    trainer_pb2.TRAINING_STATE_CANCELLED,
)

OnProgress = Callable[[common_pb2.Progress], None]
Answer = TypeVar("Answer", bound=Message)

_UNARY_SECONDS = 60.0
_SHORTEST_WAIT, _LONGEST_WAIT = 0.2, 30.0


def _ignore(progress: common_pb2.Progress) -> None:
    """Drop progress."""


class Client:
    """Calls the extractor, the trainer and the converter; safe to share between threads.

    Args:
        settings: Addresses and TLS files.
        retry_seconds: How long a call may get no further while its service is unreachable or ends it early.
    """

    def __init__(self, settings: ChannelSettings, retry_seconds: float = 300.0) -> None:
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
        self._streams: set[Any] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Cut every call and close the channels."""
        self.stop()
        for channel in self._channels.values():
            channel.close()

    def stop(self) -> None:
        """Make every running and later call raise Cancelled. Trainings go on; they outlive calls."""
        self._stopped.set()
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            stream.cancel()

    def raise_if_stopped(self) -> None:
        """Raise Cancelled after `stop`."""
        if self._stopped.is_set():
            raise Cancelled("The client was stopped.")

    def info(self, service: str, timeout_seconds: float = 10.0) -> info_pb2.GetInfoResponse:
        """What a service says of itself; asked once, without patience."""
        stub = info_pb2_grpc.InfoServiceStub(self._channels[service])
        try:
            return stub.GetInfo(info_pb2.GetInfoRequest(), timeout=timeout_seconds)
        except grpc.RpcError as error:
            raise from_rpc_error(error, self._addresses[service]) from error

    def inspect(self, source_uri: str, sample_frames: int = 0, engine: str = "") -> extractor_pb2.InspectResponse:
        """Look at a source without storing anything."""
        request = extractor_pb2.InspectRequest(source_uri=source_uri, sample_frames=sample_frames, engine=engine)
        return self._unary("extractor", self._extractor.Inspect, request, timeout=600.0)

    def extract(
        self, source_uri: str, sequence_id: str, recipe: recipe_pb2.Recipe, on_progress: OnProgress = _ignore
    ) -> extractor_pb2.Extraction:
        """Extract a sequence, or find its extraction."""
        request = extractor_pb2.ExtractRequest(source_uri=source_uri, sequence_id=sequence_id, recipe=recipe)
        extraction: extractor_pb2.Extraction = self._work(
            "extractor", self._extractor.Extract, request, on_progress, "extraction"
        )
        return extraction

    def convert(
        self, request: converter_pb2.ConvertRequest, on_progress: OnProgress = _ignore
    ) -> converter_pb2.Conversion:
        """Make a manipulated sequence, or find it."""
        conversion: converter_pb2.Conversion = self._work(
            "converter", self._converter.Convert, request, on_progress, "conversion"
        )
        return conversion

    def transcode(
        self, source_uri: str, sequence_id: str, recipe: recipe_pb2.Recipe, on_progress: OnProgress = _ignore
    ) -> converter_pb2.Transcoding:
        """Encode a real sequence at every compression level, or return the stored result."""
        request = converter_pb2.TranscodeRequest(source_uri=source_uri, sequence_id=sequence_id, recipe=recipe)
        transcoding: converter_pb2.Transcoding = self._work(
            "converter", self._converter.Transcode, request, on_progress, "transcoding"
        )
        return transcoding

    def start_training(self, request: trainer_pb2.StartTrainingRequest) -> trainer_pb2.Training:
        """Start a pair's training, or find it."""
        return self._unary("trainer", self._trainer.StartTraining, request).training

    def get_training(self, training_uri: str) -> trainer_pb2.Training:
        """Read one training."""
        request = trainer_pb2.GetTrainingRequest(training_uri=training_uri)
        return self._unary("trainer", self._trainer.GetTraining, request).training

    def cancel_training(self, training_uri: str) -> trainer_pb2.Training:
        """Stop one training; its checkpoints stay."""
        request = trainer_pb2.CancelTrainingRequest(training_uri=training_uri)
        return self._unary("trainer", self._trainer.CancelTraining, request).training

    def list_trainings(self, dataset: str = "") -> Iterator[trainer_pb2.Training]:
        """Every training, newest first, of one dataset or of all."""
        token = ""
        while True:
            request = trainer_pb2.ListTrainingsRequest(dataset=dataset, page_token=token)
            page = self._unary("trainer", self._trainer.ListTrainings, request)
            yield from page.trainings
            token = page.next_page_token
            if not token:
                return

    def watch_training(self, training_uri: str) -> Iterator[trainer_pb2.Training]:
        """Snapshots of a training until it has ended, the present one first."""
        request = trainer_pb2.WatchTrainingRequest(training_uri=training_uri)
        waiting = _Waiting(self._retry_seconds, self._stopped)
        while True:
            try:
                for message in self._stream(self._trainer.WatchTraining, request):
                    waiting.reset()
                    yield message.training
                    if message.training.state in ENDED:
                        return
                waiting.after(Unavailable("The stream ended early.", reason="STREAM_ENDED"))
            except grpc.RpcError as error:
                waiting.after(from_rpc_error(error, self._addresses["trainer"]))

    def _work(self, service: str, method: Any, request: Message, on_progress: OnProgress, result: str) -> Any:
        """Run a streaming call to its last message, opening it again as often as it takes."""
        waiting = _Waiting(self._retry_seconds, self._stopped)
        furthest: dict[str, int] = {}
        answer: Any = None
        while True:
            try:
                for message in self._stream(method, request):
                    if message.WhichOneof("event") == result:
                        # Read on to the end: to a service that is cut here the call was cancelled, and its child dies.
                        answer = getattr(message, result)
                        continue
                    progress = message.progress
                    if progress.done > furthest.get(progress.stage, -1):
                        furthest[progress.stage] = progress.done
                        waiting.reset()  # work that ends its service each time at the same place is not asked for ever
                    on_progress(progress)
                if answer is not None:
                    return answer
                waiting.after(Unavailable("The stream ended without a result.", reason="STREAM_ENDED"))
            except grpc.RpcError as error:
                if answer is not None:
                    return answer
                waiting.after(from_rpc_error(error, self._addresses[service]))

    def _stream(self, method: Any, request: Message) -> Iterator[Any]:
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
        self, service: str, method: Callable[..., Answer], request: Message, timeout: float = _UNARY_SECONDS
    ) -> Answer:
        waiting = _Waiting(self._retry_seconds, self._stopped)
        while True:
            self.raise_if_stopped()
            try:
                return method(request, timeout=timeout)
            except grpc.RpcError as error:
                waiting.after(from_rpc_error(error, self._addresses[service]))


class _Waiting:
    """Decides whether a failed try is repeated, and sleeps until then."""

    def __init__(self, retry_seconds: float, stopped: threading.Event) -> None:
        self._retry_seconds = retry_seconds
        self._stopped = stopped
        self.reset()

    def reset(self) -> None:
        """Something got further: patience starts anew."""
        self._wait = _SHORTEST_WAIT
        self._deadline = time.monotonic() + self._retry_seconds

    def after(self, error: FaceFoundryError) -> None:
        """Sleep, or raise the error when trying again makes no sense."""
        if self._stopped.is_set():
            raise Cancelled("The client was stopped.") from error
        if isinstance(error, Busy):
            self._deadline = time.monotonic() + self._retry_seconds
        elif not isinstance(error, Unavailable) or time.monotonic() > self._deadline:
            raise error
        longest = min(error.retry_after_seconds or _LONGEST_WAIT, _LONGEST_WAIT)
        self._stopped.wait(min(self._wait, longest) * random.uniform(0.7, 1.3))
        self._wait *= 2
