"""The methods of ConverterService: each makes a plan of a request, runs it, and turns its events into responses."""

from __future__ import annotations

from collections.abc import Iterator

import grpc

from facefoundry.rpc.files import StoredFiles
from facefoundry.storage.info import ConversionInfo, TranscodingInfo
from facefoundry.storage.store import Store
from facefoundry.v1 import common_pb2, converter_pb2, converter_pb2_grpc, files_pb2
from facefoundry.work.messages import Progress
from facefoundry.work.runner import Committed, Runner
from services.converter.plan import plan_conversion, plan_transcoding

__all__ = ["ConverterServicer"]


class ConverterServicer(converter_pb2_grpc.ConverterServiceServicer):
    """Serves Convert, Transcode and ListFiles.

    Args:
        store: The object store.
        runner: Runs the plans.
    """

    def __init__(self, store: Store, runner: Runner) -> None:
        self._store, self._runner = store, runner
        self._files = StoredFiles("converter", store)

    def Convert(
        self, request: converter_pb2.ConvertRequest, context: grpc.ServicerContext
    ) -> Iterator[converter_pb2.ConvertResponse]:
        """Make a fake, or return the stored one."""
        plan = plan_conversion(self._store, request)
        for event in self._runner.run(plan, context):
            if isinstance(event, Progress):
                yield converter_pb2.ConvertResponse(progress=event.to_proto())
            else:
                yield converter_pb2.ConvertResponse(conversion=_conversion(event))

    def Transcode(
        self, request: converter_pb2.TranscodeRequest, context: grpc.ServicerContext
    ) -> Iterator[converter_pb2.TranscodeResponse]:
        """Encode a real video at every compression level, or return the stored result."""
        plan = plan_transcoding(self._store, request)
        for event in self._runner.run(plan, context):
            if isinstance(event, Progress):
                yield converter_pb2.TranscodeResponse(progress=event.to_proto())
            else:
                yield converter_pb2.TranscodeResponse(transcoding=_transcoding(event))

    def ListFiles(
        self, request: files_pb2.ListFilesRequest, context: grpc.ServicerContext
    ) -> files_pb2.ListFilesResponse:
        """List the files of a conversion or transcoding."""
        return self._files.list(request)


def _conversion(done: Committed) -> converter_pb2.Conversion:
    info = done.manifest.info_as(ConversionInfo)
    return converter_pb2.Conversion(
        uri=done.uri,
        content_digest=done.manifest.content_digest,
        frame_count=info.frame_count,
        swapped_count=info.swapped_count,
        unswapped=[common_pb2.ReasonCount(reason=reason, frames=frames) for reason, frames in info.unswapped.items()],
        reused=done.reused,
    )


def _transcoding(done: Committed) -> converter_pb2.Transcoding:
    info = done.manifest.info_as(TranscodingInfo)
    return converter_pb2.Transcoding(
        uri=done.uri, content_digest=done.manifest.content_digest, frame_count=info.frame_count, reused=done.reused
    )
