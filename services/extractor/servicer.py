"""The methods of ExtractorService: each makes a plan of a request, runs it, and turns its events into responses."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import starmap

import grpc

from facefoundry.errors import FieldViolation, InvalidInput, from_record, to_record
from facefoundry.rpc.files import StoredFiles
from facefoundry.storage.info import ExtractionInfo, ExtractionWarning, FrameRate, SourceInfo
from facefoundry.storage.store import Store
from facefoundry.storage.uploads import Uploads
from facefoundry.v1 import common_pb2, extractor_pb2, extractor_pb2_grpc, files_pb2
from facefoundry.work.messages import Progress
from facefoundry.work.runner import Committed, Runner
from services.extractor.functions import PART_FRAMES, FaceSample, FaceShares, Inspection
from services.extractor.imports import SourceImports
from services.extractor.plan import plan_extraction, plan_inspection
from services.extractor.weights import Weights

__all__ = ["ExtractorServicer"]


class ExtractorServicer(extractor_pb2_grpc.ExtractorServiceServicer):
    """Serves the calls of the extractor.

    Args:
        store: The object store.
        runner: Runs the plans.
        weights: Finds the weights of the engines.
        uploads: Makes uploads.
        imports: Imports clips.
        part_frames: Number of frames in each part. The faces' boxes depend on it, because the detector runs on the
            first frame of each part and a tracker on most others.
        shares: Shares of frames with a face that are in doubt or too small.
    """

    def __init__(
        self,
        store: Store,
        runner: Runner,
        weights: Weights,
        uploads: Uploads,
        imports: SourceImports,
        part_frames: int = PART_FRAMES,
        shares: FaceShares | None = None,
    ) -> None:
        self._store, self._runner, self._weights, self._part_frames = store, runner, weights, part_frames
        self._uploads, self._imports, self._shares = uploads, imports, shares or FaceShares()
        self._files = StoredFiles("extractor", store)

    def CreateUpload(
        self, request: files_pb2.CreateUploadRequest, context: grpc.ServicerContext
    ) -> files_pb2.CreateUploadResponse:
        """Return URLs to which a clip is put, in parts."""
        return self._uploads.create(request)

    def ImportSource(
        self, request: extractor_pb2.ImportSourceRequest, context: grpc.ServicerContext
    ) -> Iterator[extractor_pb2.ImportSourceResponse]:
        """Make a source of an upload, of another object or of frames, or return the stored source."""
        for event in self._imports.run(request, context):
            if isinstance(event, Progress):
                yield extractor_pb2.ImportSourceResponse(progress=event.to_proto())
            else:
                yield extractor_pb2.ImportSourceResponse(source=_source(event))

    def Inspect(
        self, request: extractor_pb2.InspectRequest, context: grpc.ServicerContext
    ) -> extractor_pb2.InspectResponse:
        """Return a source's properties and the number of faces in some of its frames; nothing is stored."""
        with _without_recipe():
            plan = plan_inspection(self._store, request, self._weights.folder, self._runner.max_pixels)
            return _inspection(self._runner.ask(plan, context))

    def Extract(
        self, request: extractor_pb2.ExtractRequest, context: grpc.ServicerContext
    ) -> Iterator[extractor_pb2.ExtractResponse]:
        """Extract a sequence, or return its stored extraction."""
        plan = plan_extraction(self._store, request, self._weights.folder, self._part_frames, self._shares)
        for event in self._runner.run(plan, context):
            if isinstance(event, Progress):
                yield extractor_pb2.ExtractResponse(progress=event.to_proto())
            else:
                yield extractor_pb2.ExtractResponse(extraction=_extraction(event))

    def ListFiles(
        self, request: files_pb2.ListFilesRequest, context: grpc.ServicerContext
    ) -> files_pb2.ListFilesResponse:
        """List the files of a source or extraction."""
        return self._files.list(request)


@contextmanager
def _without_recipe() -> Iterator[None]:
    """Name the field `engine` in errors about engines, which name the field of a recipe."""
    try:
        yield
    except InvalidInput as error:
        record = to_record(error)
        fields = [(wrong.field.removeprefix("recipe.extraction."), wrong.description) for wrong in record.violations]
        raise from_record(replace(record, violations=tuple(starmap(FieldViolation, fields)))) from error


def _extraction(done: Committed) -> extractor_pb2.Extraction:
    info = done.manifest.info_as(ExtractionInfo)
    return extractor_pb2.Extraction(
        uri=done.uri,
        content_digest=info.content_digest,
        frame_count=info.frame_count,
        face_count=info.face_count,
        missing=[common_pb2.ReasonCount(reason=count.reason, frames=count.frames) for count in info.missing],
        frame_rate=_frame_rate(info.frame_rate),
        width=info.width,
        height=info.height,
        engine=info.engine,
        reused=done.reused,
        rate_basis=_basis(info.rate_basis),
        stated_frame_rate=_stated(info.stated_frame_rate),
        remarks=info.remarks,
        warnings=_warnings(info.warnings),
    )


def _warnings(found: list[ExtractionWarning]) -> list[common_pb2.Warning]:
    return [common_pb2.Warning(reason=warning.reason, message=warning.message) for warning in found]


def _source(done: Committed) -> extractor_pb2.Source:
    info = done.manifest.info_as(SourceInfo)
    numerator, denominator = info.rate or (0, 0)
    return extractor_pb2.Source(
        uri=done.uri,
        content_digest=done.manifest.content_digest,
        file_name=info.file_name,
        size_bytes=sum(part.size for part in done.manifest.parts),
        frame_count=info.frame_count,
        frame_rate=common_pb2.FrameRate(numerator=numerator, denominator=denominator),
        width=info.width,
        height=info.height,
        rotation=info.rotation,
        codec=info.codec,
        reused=done.reused,
        mirrored=info.mirrored,
        rate_basis=_basis(info.rate_basis),
        stated_frame_rate=_stated(info.stated_frame_rate),
        remarks=info.remarks,
        tolerate_damage=info.tolerate_damage,
    )


def _inspection(found: Inspection) -> extractor_pb2.InspectResponse:
    return extractor_pb2.InspectResponse(
        frame_count=found.frame_count,
        frame_rate=_frame_rate(found.frame_rate),
        width=found.width,
        height=found.height,
        rotation=found.rotation,
        codec=found.codec,
        samples=[_sample(sample) for sample in found.samples],
        mirrored=found.mirrored,
        rate_basis=_basis(found.rate_basis),
        stated_frame_rate=_stated(found.stated_frame_rate),
        remarks=found.remarks,
        damaged_count=found.damaged_count,
        warnings=_warnings(found.warnings),
        cuts=found.cuts,
    )


def _sample(found: FaceSample) -> extractor_pb2.FaceSample:
    made, face = extractor_pb2.FaceSample(frame=found.frame, faces=found.faces), found.largest
    if face is not None:
        made.largest.CopyFrom(
            extractor_pb2.SampledFace(
                width=face.width,
                height=face.height,
                yaw=face.yaw,
                pitch=face.pitch,
                skin=face.skin,
                picture=base64.b64decode(face.picture),
            )
        )
    return made


def _frame_rate(rate: FrameRate) -> common_pb2.FrameRate:
    return common_pb2.FrameRate(numerator=rate.numerator, denominator=rate.denominator)


def _stated(rate: FrameRate | None) -> common_pb2.FrameRate | None:
    return _frame_rate(rate) if rate else None


def _basis(name: str) -> common_pb2.RateBasis.ValueType:
    return common_pb2.RateBasis.Value(f"RATE_BASIS_{name.upper() or 'UNSPECIFIED'}")
