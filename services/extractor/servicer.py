"""ExtractorService: checks requests, runs the pipeline in a sandbox child, and hands parts to the store."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format

from facefoundry import recipes
from facefoundry.errors import Cancelled, FieldViolation, Interrupted, InvalidInput, Unusable
from facefoundry.process.sandbox import Limits, Sandbox
from facefoundry.process.scratch import Scratch
from facefoundry.rpc.children import Children
from facefoundry.rpc.slots import Slots
from facefoundry.storage import manifest, sources
from facefoundry.storage.sources import SourceFiles
from facefoundry.storage.store import Store
from facefoundry.telemetry import FRAMES, logger
from facefoundry.v1 import common_pb2, extractor_pb2, extractor_pb2_grpc
from services.extractor import engines
from services.extractor.delivery import Delivery, Order
from services.extractor.pipeline import PART_FRAMES
from services.extractor.settings import ExtractorSettings
from services.extractor.weights import Weights

__all__ = ["ExtractorServicer"]

_log = logger(__name__)
_MOST_SAMPLES = 64
_DRAIN_SHARE = 0.8  # of the drain time; the rest is for what a call has to let go of


class ExtractorServicer(extractor_pb2_grpc.ExtractorServiceServicer):
    """Serves Inspect and Extract.

    Args:
        store: Object store of sources and extractions.
        settings: The extractor's settings.
        slots: Admission.
        draining: Set when the process shall end; running calls then end at their next finished part.
        part_frames: Frames of one part; the same everywhere, as detection starts anew with each part.
    """

    def __init__(
        self,
        store: Store,
        settings: ExtractorSettings,
        slots: Slots,
        draining: threading.Event,
        part_frames: int = PART_FRAMES,
    ) -> None:
        self._store, self._slots, self._draining, self._part_frames = store, slots, draining, part_frames
        self._drain_seconds = _DRAIN_SHARE * settings.drain_seconds
        self._most_bytes = settings.extractor_max_source_bytes
        self._scratch = Scratch("extractor", settings.scratch_dir)
        self._children = Children(
            Limits(settings.sandbox_seconds, settings.sandbox_memory_bytes, threads=settings.threads_per_sandbox)
        )
        self.weights = Weights(
            store,
            settings.extractor_weights_dir,
            settings.extractor_weights_prefix,
            self._scratch.parent / "extractor-weights",
        )

    def close(self) -> None:
        """End the children that wait for work."""
        self._children.close()

    def Inspect(
        self, request: extractor_pb2.InspectRequest, context: grpc.ServicerContext
    ) -> extractor_pb2.InspectResponse:
        """Look at a source without storing anything."""
        source = sources.find_source(self._store, request.source_uri, "source")
        if request.sample_frames > _MOST_SAMPLES:
            message = f"Expected sample_frames of at most {_MOST_SAMPLES}. Received {request.sample_frames}."
            violation = FieldViolation("sample_frames", f"must be from 0 to {_MOST_SAMPLES}")
            raise InvalidInput(message, reason="SAMPLE_FRAMES", violations=[violation])
        engine = request.engine or recipes.load().extraction.engine
        engines.find(engine)
        name = next(iter(source.files))
        with self._slots.take(), self._children.lend(context, name) as sandbox, self._scratch.folder() as folder:
            for _ in self._fetch(source, folder):
                if not context.is_active():
                    raise Cancelled("The caller is gone.")
            arguments = {**_local(source, folder), "sample_frames": request.sample_frames, "engine": engine}
            (found,) = sandbox.run("services.extractor.pipeline:inspect", **arguments, **self._weights_for(engine))
        return json_format.ParseDict(found["inspection"], extractor_pb2.InspectResponse())

    def Extract(
        self, request: extractor_pb2.ExtractRequest, context: grpc.ServicerContext
    ) -> Iterator[extractor_pb2.ExtractResponse]:
        """Extract a sequence, or find its extraction, or go on with it."""
        order = Order.of(self._store, request)
        record = manifest.load_if_committed(self._store, order.prefix)
        if record is not None:
            yield self._response(order, record, reused=True)
            return
        engines.require_landmarks(order.options["engine"])
        drain = _Drain(self._draining, self._drain_seconds)
        with self._slots.take(), self._children.lend(context, order.name) as sandbox, self._scratch.folder() as folder:
            for done, total in self._fetch(order.source, folder):
                yield _progress("download", done, total, "bytes")
                drain.check(part_is_finished=False)
            yield from self._extract(order, sandbox, folder, drain)

    def _fetch(self, source: SourceFiles, folder: Path) -> Iterator[tuple[int, int]]:
        if source.size > self._most_bytes:
            name = next(iter(source.files))
            message = f"{name} has {source.size} bytes; at most {self._most_bytes} are accepted."
            raise Unusable(message, reason="TOO_LARGE", resource=name)
        yield from sources.fetch(self._store, source.files, folder)

    def _extract(
        self, order: Order, sandbox: Sandbox, folder: Path, drain: _Drain
    ) -> Iterator[extractor_pb2.ExtractResponse]:
        delivery = Delivery(self._store, order)
        arguments: dict[str, Any] = {
            **_local(order.source, folder),
            "folder": str(folder),
            "options": order.options,
            "name": order.name,
            "done": delivery.fetch_finished(folder),
            "part_frames": self._part_frames,
            **self._weights_for(order.options["engine"]),
        }
        with closing(sandbox.run("services.extractor.pipeline:extract", **arguments)) as messages:
            for message in messages:
                if "resumed" in message:
                    delivery.resumed(message["resumed"])
                elif "progress" in message:
                    yield _progress("extract", message["progress"]["done"], message["progress"]["total"], "frames")
                elif "part" in message:
                    delivery.put(message["part"], folder / Path(message["path"]).name)
                else:
                    record = delivery.commit(message["extraction"], message["versions"])
                    _count(record.info)
                    yield self._response(order, record, reused=False)
                drain.check(part_is_finished=message.get("part", "").startswith("alignments-"))

    def _weights_for(self, engine: str) -> dict[str, str | None]:
        folder = self.weights.folder(engine)
        return {"weights_dir": str(folder) if folder else None}

    def _response(self, order: Order, record: manifest.Manifest, reused: bool) -> extractor_pb2.ExtractResponse:
        extraction = json_format.ParseDict(record.info, extractor_pb2.Extraction(), ignore_unknown_fields=True)
        extraction.uri, extraction.reused = self._store.uri(order.prefix), reused
        _log.event("extracted", sequence=order.name, uri=extraction.uri, faces=extraction.face_count, reused=reused)
        return extractor_pb2.ExtractResponse(extraction=extraction)


class _Drain:
    """Ends a call of a process that shall end: at a finished part, but not much later than it is asked to."""

    def __init__(self, draining: threading.Event, seconds: float) -> None:
        self._draining, self._seconds = draining, seconds
        self._since: float | None = None

    def check(self, part_is_finished: bool) -> None:
        if not self._draining.is_set():
            return
        self._since = self._since or time.monotonic()
        if part_is_finished or time.monotonic() - self._since > self._seconds:
            raise Interrupted("This extractor is stopping; the same call made again goes on with the finished parts.")


def _local(source: SourceFiles, folder: Path) -> Mapping[str, Any]:
    """The child's view of a fetched source."""
    return {"source": [str(folder / name) for name in source.files], "frame_rate": source.frame_rate}


def _progress(stage: str, done: int, total: int, unit: str) -> extractor_pb2.ExtractResponse:
    progress = common_pb2.Progress(stage=stage, done=done, total=total, unit=unit)
    return extractor_pb2.ExtractResponse(progress=progress)


def _count(info: dict[str, Any]) -> None:
    FRAMES.labels("extractor", "FOUND").inc(info["face_count"])
    for missing in info["missing"]:
        FRAMES.labels("extractor", missing["reason"]).inc(missing["frames"])
