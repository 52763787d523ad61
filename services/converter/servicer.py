"""ConverterService: thin handlers from requests to plans and from manifests to answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import grpc

from facefoundry.errors import Interrupted
from facefoundry.process.sandbox import Limits
from facefoundry.rpc.children import Children
from facefoundry.rpc.slots import Slots
from facefoundry.storage import manifest
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.store import Store
from facefoundry.v1 import common_pb2, converter_pb2, converter_pb2_grpc
from services.converter import plan
from services.converter.plan import Plan
from services.converter.settings import ConverterSettings
from services.converter.work import Work

__all__ = ["ConverterServicer"]


class ConverterServicer(converter_pb2_grpc.ConverterServiceServicer):
    """Answers Convert and Transcode.

    Args:
        store: The object store.
        settings: Limits of children and work.
        slots: Admission; what is there already is answered without a slot.
        draining: Set when this process is about to stop.
        children: Where the work runs; its own stock by default.
    """

    def __init__(
        self,
        store: Store,
        settings: ConverterSettings,
        slots: Slots,
        draining: threading.Event,
        children: Children | None = None,
    ) -> None:
        self._store = store
        self._slots = slots
        self._draining = draining
        self._work = Work(store, settings, draining)
        limits = Limits(settings.sandbox_seconds, settings.sandbox_memory_bytes, threads=settings.threads_per_sandbox)
        self._children = children or Children(limits)

    def Convert(
        self, request: converter_pb2.ConvertRequest, context: grpc.ServicerContext
    ) -> Iterator[converter_pb2.ConvertResponse]:
        """Make a manipulated sequence, or find it."""
        planned = plan.of_conversion(self._store, request)
        for event, reused in self._events(planned, context):
            if isinstance(event, Manifest):
                conversion = _conversion(self._store.uri(planned.prefix), event, reused)
                yield converter_pb2.ConvertResponse(conversion=conversion)
            else:
                yield converter_pb2.ConvertResponse(progress=event)

    def Transcode(
        self, request: converter_pb2.TranscodeRequest, context: grpc.ServicerContext
    ) -> Iterator[converter_pb2.TranscodeResponse]:
        """Encode a real sequence at every compression level, or return the stored result."""
        planned = plan.of_transcoding(self._store, request)
        for event, reused in self._events(planned, context):
            if isinstance(event, Manifest):
                transcoding = _transcoding(self._store.uri(planned.prefix), event, reused)
                yield converter_pb2.TranscodeResponse(transcoding=transcoding)
            else:
                yield converter_pb2.TranscodeResponse(progress=event)

    def close(self) -> None:
        """End the children that wait for work."""
        self._children.close()

    def _events(
        self, planned: Plan, context: grpc.ServicerContext
    ) -> Iterator[tuple[common_pb2.Progress | Manifest, bool]]:
        """Progress and at the end the manifest, and whether it was there already."""
        committed = manifest.load_if_committed(self._store, planned.prefix)
        if committed is not None:
            yield committed, True
            return
        if self._draining.is_set():
            raise Interrupted("This converter is stopping; ask another replica.", retry_after_seconds=1.0)
        name = next(iter(planned.source.files))
        with self._slots.take(), self._children.lend(context, name) as sandbox:
            for event in self._work.do(planned, sandbox):
                yield event, False


def _conversion(uri: str, record: Manifest, reused: bool) -> converter_pb2.Conversion:
    untouched = record.info["untouched"].items()
    return converter_pb2.Conversion(
        uri=uri,
        content_digest=record.content_digest,
        frame_count=record.info["frame_count"],
        swapped_count=record.info["swapped_count"],
        untouched=[common_pb2.ReasonCount(reason=reason, frames=frames) for reason, frames in untouched],
        reused=reused,
    )


def _transcoding(uri: str, record: Manifest, reused: bool) -> converter_pb2.Transcoding:
    frames = record.info["frame_count"]
    return converter_pb2.Transcoding(uri=uri, content_digest=record.content_digest, frame_count=frames, reused=reused)
