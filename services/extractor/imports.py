"""Imports clips: an uploaded file, another stored object, or frames, becomes a source.

A clip is checked before anything is stored, and the manifest is written last. A call that ends early leaves nothing
that a reader sees.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeAlias, TypeVar, cast

import grpc

from facefoundry import codec
from facefoundry.errors import Conflict, DataLoss, NotFound, Unusable
from facefoundry.media.frames import in_order
from facefoundry.storage import keys, manifest
from facefoundry.storage.info import SourceInfo
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.revocation import refuse_revoked
from facefoundry.storage.sources import naming
from facefoundry.storage.store import Store
from facefoundry.telemetry import logger
from facefoundry.v1 import extractor_pb2
from facefoundry.work.function import Args, Info, SandboxFunction, misbehaved
from facefoundry.work.incoming import Incoming, IncomingFiles
from facefoundry.work.messages import Progress, Result
from facefoundry.work.runner import Admitted, Committed, Runner
from facefoundry.work.workspace import Workspace
from services.extractor.clips import ImportedClip, Wanted, frames_of, video_of, video_part
from services.extractor.functions import INSPECT, UNPACK, InspectArgs, Inspection, UnpackArgs

__all__ = ["SourceImports"]

_TAR = "frames.tar"
_log = logger(__name__)

T = TypeVar("T")
Steps: TypeAlias = Generator[Progress, None, T]  # work that yields its progress and returns its result


@dataclass(frozen=True)
class _Call:
    """A running call: the URI of its clip, what it holds, and the files to import as its own store has them."""

    uri: str
    held: Admitted
    files: IncomingFiles

    @property
    def workspace(self) -> Workspace:
        """The folders of the call."""
        return self.held.workspace

    def ask(self, function: SandboxFunction[Args, Info], arguments: Args) -> Steps[Info]:
        """Run a function in the sandbox, and return the facts of its result. Errors about the clip name its URI."""
        result: Info | None = None
        with naming(self.uri, (path.name for path in self.workspace.inputs.iterdir())):
            for message in function.run(self.held.sandbox, arguments, self.workspace):
                match message:
                    case Progress():
                        yield message
                    case Result(info):
                        result = info
        if result is None:
            raise misbehaved("ended without a result")
        return result


Fetch: TypeAlias = Callable[[_Call], Steps[ImportedClip]]


class SourceImports:
    """Imports clips.

    Args:
        store: The object store.
        runner: Limits what runs at once, and holds the sandboxes that read clips.
        files: Finds and reads what is imported.
        max_frames: Maximum number of frames of a folder or tar.
    """

    def __init__(self, store: Store, runner: Runner, files: IncomingFiles, max_frames: int) -> None:
        self._store, self._runner, self._files, self._max_frames = store, runner, files, max_frames

    def run(
        self, request: extractor_pb2.ImportSourceRequest, context: grpc.ServicerContext
    ) -> Iterator[Progress | Committed]:
        """Import a clip, or find its stored source. Yield progress, and finally the source.

        Raises:
            InvalidInput: a field is wrong (URI, BUCKET_NOT_ALLOWED, FRAME_RATE, SHA256).
            NotFound: there is no such object or bucket.
            Conflict: the clip changed while it was read (OBJECT_CHANGED).
            Unusable: the clip is incomplete, too large or not a clip; it or its rights were revoked (REVOKED).
            Busy: no slot is free.
            Interrupted: the service is stopping.
            Cancelled: the caller cancelled the call.
        """
        wanted = Wanted.of(request)
        refuse_revoked(self._store, wanted.rights, wanted.sha256)
        if wanted.is_folder:
            yield from self._import_folder(wanted, context)
            return
        file = self._files.find(wanted.uri)
        try:
            yield from self._import_file(file, wanted, context)
        except Conflict:
            file = self._files.find(wanted.uri)
            if not file.result:
                raise
            yield from self._import_file(file, wanted, context)  # another call imported this upload meanwhile

    def _import_file(
        self, file: Incoming, wanted: Wanted, context: grpc.ServicerContext
    ) -> Iterator[Progress | Committed]:
        known = self._find_known(file, wanted)
        fetch = self._tar_fetcher(file, wanted) if wanted.is_tar else self._video_fetcher(file, wanted)
        done = known or (yield from self._import(fetch, file.size, wanted, context))
        self._files.finish(file, done.uri)
        yield done

    def _find_known(self, file: Incoming, wanted: Wanted) -> Committed | None:
        """Find the source of a file without reading it: by what an upload became, or by the SHA-256 of a video."""
        sha256 = wanted.sha256 or file.sha256
        if file.sha256 not in ("", sha256):
            message = f"Expected {wanted.uri} to have SHA-256 {sha256}. It was announced with {file.sha256}."
            raise Unusable(message, reason="SHA256_MISMATCH", resource=wanted.uri)
        if file.result:
            uri = file.result  # of another kind if it was imported as a model
        elif sha256 and not wanted.is_tar:
            uri = self._store.uri(wanted.prefix_of("video", sha256))
        else:
            return None
        if keys.kind_of(uri) == "sources":
            prefix = keys.prefix_of(self._store.bucket, uri, "sources")
            stored = _load(self._store, prefix, lambda source: wanted.is_met_by(source, prefix, file.sha256))
            if stored is not None:
                return Committed(uri, stored, reused=True)
        if file.result:
            self._files.forget(file)  # otherwise CreateUpload would say that nothing need be put again
            message = f"{wanted.uri} was imported as {uri} and then deleted. Upload it again."
            raise NotFound(message, reason="NO_SUCH_OBJECT", resource=wanted.uri)
        return None

    def _import_folder(self, wanted: Wanted, context: grpc.ServicerContext) -> Iterator[Progress | Committed]:
        folder = self._files.find_folder(wanted.uri, self._max_frames)
        objects = folder.by_name()
        names = in_order(objects, wanted.uri)

        def fetch(call: _Call) -> Steps[ImportedClip]:
            numbered = (f"{number:06d}{PurePosixPath(name).suffix.lower()}" for number, name in enumerate(names))
            paths = {name: call.workspace.input(file) for name, file in zip(names, numbered, strict=True)}
            yield from call.files.fetch_folder(folder, paths)
            return frames_of(list(paths.values()), wanted, call.held)

        yield (yield from self._import(fetch, sum(objects[name].size for name in names), wanted, context))

    def _video_fetcher(self, file: Incoming, wanted: Wanted) -> Fetch:
        def fetch(call: _Call) -> Steps[ImportedClip]:
            part = video_part(file.name)
            return video_of(
                part, (yield from call.files.fetch(file, call.workspace.input(part), wanted.sha256)), wanted
            )

        return fetch

    def _tar_fetcher(self, file: Incoming, wanted: Wanted) -> Fetch:
        def fetch(call: _Call) -> Steps[ImportedClip]:
            tar = call.workspace.input(_TAR)
            yield from call.files.fetch(file, tar, wanted.sha256)
            unpacked = yield from call.ask(UNPACK, UnpackArgs(tar=_TAR, max_frames=self._max_frames))
            tar.unlink()
            # The sandbox is not trusted: digests are made here, of files whose number was checked.
            frames = sorted(call.workspace.made.iterdir())
            if len(frames) != unpacked.frame_count:
                raise misbehaved(f"made {len(frames)} frames of {unpacked.frame_count}")
            return frames_of(frames, wanted, call.held)

        return fetch

    def _import(self, fetch: Fetch, size: int, wanted: Wanted, context: grpc.ServicerContext) -> Steps[Committed]:
        with self._runner.admitted(wanted.uri, size, context) as held:
            call = _Call(wanted.uri, held, self._files.through(held.store))
            steps = self._steps(fetch, call, wanted)
            while True:
                try:
                    progress = next(steps)
                except StopIteration as done:
                    return cast("Committed", done.value)
                yield progress
                held.drain.check()

    def _steps(self, fetch: Fetch, call: _Call, wanted: Wanted) -> Steps[Committed]:
        yield Progress("download", 0, 0, unit="bytes")
        clip = yield from fetch(call)
        refuse_revoked(call.held.store, clip.content_digest)
        stored = _load(call.held.store, clip.prefix, clip.is_in)
        reused = stored is not None
        if stored is None:
            arguments = InspectArgs(
                clip_files=tuple(clip.parts),
                frame_rate=wanted.rate,
                tolerate_damage=wanted.tolerate_damage,
                engine="",
                sample_frames=0,
                max_total=self._runner.max_pixels,
            )
            found = yield from call.ask(INSPECT, arguments)
            stored = yield from _put(clip, found, call.held, wanted)
        _log.event("imported", clip=wanted.uri, prefix=clip.prefix, reused=reused)
        return Committed(self._store.uri(clip.prefix), stored, reused)


def _load(store: Store, prefix: str, is_right: Callable[[Manifest], bool]) -> Manifest | None:
    """Return a stored source; None if there is none, or one that another program wrote there or that is damaged."""
    try:
        stored = manifest.load_if_committed(store, prefix)
        if stored is None or is_right(stored):
            return stored
    except DataLoss as error:
        _log.warning("source_damaged", prefix=prefix, detail=error.message)
        return None
    _log.warning("source_foreign", prefix=prefix)
    return None


def _put(clip: ImportedClip, found: Inspection, held: Admitted, wanted: Wanted) -> Steps[Manifest]:
    """Store the parts of a clip, and then its manifest."""
    total, done, parts = sum(held.workspace.input(name).stat().st_size for name in clip.parts), 0, []
    for name, sha256 in clip.parts.items():
        yield Progress("store", done, total, unit="bytes")
        part = manifest.put_part(held.store, clip.prefix, name, held.workspace.input(name))
        if part.sha256 != sha256:
            raise misbehaved(f"changed {name}")
        done += part.size
        parts.append(part)
    yield Progress("store", done, total, unit="bytes")
    rate = found.frame_rate
    info = SourceInfo(
        kind=clip.kind,
        file_name=wanted.file_name,
        frame_rate=f"{rate.numerator}/{rate.denominator}",
        frame_count=found.frame_count,
        width=found.width,
        height=found.height,
        rotation=found.rotation,
        codec=found.codec,
        rights=wanted.rights,
        mirrored=found.mirrored,
        rate_basis=found.rate_basis,
        stated_frame_rate=found.stated_frame_rate,
        remarks=found.remarks,
        tolerate_damage=wanted.tolerate_damage,
    )
    made = Manifest("source", {}, {}, tuple(parts), codec.to_values(info), clip.content_digest)
    return manifest.commit(held.store, clip.prefix, made, keeps=clip.is_in)
