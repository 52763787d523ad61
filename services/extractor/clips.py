"""Requests to import a clip, and the clips in a call's workspace as they will be stored."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Literal

from facefoundry.errors import FieldViolation, InvalidInput
from facefoundry.media.source import FRAME_RATES
from facefoundry.storage.frames import FramePacker
from facefoundry.storage.info import SourceInfo
from facefoundry.storage.manifest import Manifest
from facefoundry.storage.parts import SOURCE
from facefoundry.storage.sources import leads_to, prefix_of_source
from facefoundry.v1 import extractor_pb2
from facefoundry.work.function import misbehaved
from facefoundry.work.runner import Admitted

__all__ = ["ImportedClip", "Wanted", "frames_of", "video_of", "video_part"]


@dataclass(frozen=True)
class Wanted:
    """A checked request to import a clip.

    Attributes:
        uri: URI of the object; that of a folder of frames ends with `/`.
        frame_rate: Frames per second that are given; None for a video that is read at its own.
        tolerate_damage: Whether damaged frames are labelled and not refused.
        rights: SHA-256 of the record of the rights to the clip; or `unstated`.
        sha256: SHA-256 that the object must have; empty for any.
    """

    uri: str
    frame_rate: Fraction | None
    tolerate_damage: bool
    rights: str
    sha256: str

    @classmethod
    def of(cls, request: extractor_pb2.ImportSourceRequest) -> Wanted:
        """Check what the annotations of the request's fields cannot express.

        Raises:
            InvalidInput: a field is wrong (FRAME_RATE, SHA256).
        """
        rate = request.frame_rate
        given = request.HasField("frame_rate")
        wanted = cls(
            uri=request.object_uri,
            frame_rate=Fraction(rate.numerator, rate.denominator) if given else None,
            tolerate_damage=request.tolerate_damage,
            rights=request.rights or "unstated",
            sha256=request.sha256,
        )
        low, high = FRAME_RATES
        if wanted.frame_rate is not None and not low <= wanted.frame_rate <= high:
            raise _wrong("frame_rate", f"must be from {low} to {high} frames per second", "FRAME_RATE", wanted.uri)
        if not given and (wanted.is_folder or wanted.is_tar):
            raise _wrong("frame_rate", "must be set for frames", "FRAME_RATE", wanted.uri)
        if wanted.sha256 and wanted.is_folder:
            raise _wrong("sha256", "must not be set for a folder of frames", "SHA256", wanted.uri)
        return wanted

    @property
    def is_folder(self) -> bool:
        """Whether the URI is that of a folder of frames."""
        return self.uri.endswith("/")

    @property
    def is_tar(self) -> bool:
        """Whether the object is a tar of frames, by its name."""
        return self.uri.lower().endswith(".tar")

    @property
    def rate(self) -> tuple[int, int] | None:
        """The given frame rate as numerator and denominator."""
        return (self.frame_rate.numerator, self.frame_rate.denominator) if self.frame_rate else None

    def is_met_by(self, source: Manifest, prefix: str, announced: str) -> bool:
        """Return whether a stored source is this clip, read as is wanted.

        Args:
            source: Manifest of the source.
            prefix: Prefix of the source.
            announced: SHA-256 that was announced for an upload; empty if none was. That of a tar is not compared with
                the source, which has the digest of its frames.

        Raises:
            DataLoss: a fact in the manifest is damaged (BAD_MANIFEST).
        """
        info, known = source.info_as(SourceInfo), {self.sha256, announced} - {""}
        same_bytes = self.sha256 in ("", announced) if self.is_tar else known <= {source.content_digest}
        same_reading = (info.given_rate, info.tolerate_damage) == (self.rate, self.tolerate_damage)
        return same_bytes and same_reading and leads_to(prefix, source)

    def prefix_of(self, kind: Literal["video", "frames"], content_digest: str) -> str:
        """Return the prefix of the source that content becomes when it is imported as wanted."""
        return prefix_of_source({kind: content_digest}, self.frame_rate, tolerate_damage=self.tolerate_damage)

    @property
    def file_name(self) -> str:
        """The name of the video file, or of the folder of frames."""
        name = PurePosixPath(self.uri).name
        return PurePosixPath(name).stem if self.is_tar else name


def _wrong(field: str, rule: str, reason: str, uri: str) -> InvalidInput:
    message = f"To import {uri}, {field} {rule}."
    return InvalidInput(message, reason=reason, violations=[FieldViolation(field, rule)], resource=uri)


@dataclass(frozen=True)
class ImportedClip:
    """A clip in a workspace.

    Attributes:
        kind: `video`, or `frames` for tars of frames.
        prefix: Prefix of the source. It contains a digest of the bytes that were read.
        content_digest: SHA-256 of the video, or over those of the frames.
        parts: SHA-256 of each part, by its name, which is that of its file in the workspace.
    """

    kind: Literal["video", "frames"]
    prefix: str
    content_digest: str
    parts: dict[str, str]

    def is_in(self, source: Manifest) -> bool:
        """Return whether a stored source has this clip.

        Raises:
            DataLoss: a fact in the manifest is damaged (BAD_MANIFEST).
        """
        stored = {part.sha256 for part in source.parts}
        return leads_to(self.prefix, source) and stored == set(self.parts.values())


def video_of(part: str, sha256: str, wanted: Wanted) -> ImportedClip:
    """Return the clip that is one video file.

    Args:
        part: Name of the part and file.
        sha256: SHA-256 of its bytes.
        wanted: The request.
    """
    return ImportedClip("video", wanted.prefix_of("video", sha256), sha256, {part: sha256})


def frames_of(frames: Sequence[Path], wanted: Wanted, held: Admitted) -> ImportedClip:
    """Pack frames into tars in the workspace's folder `inputs`, and delete their files.

    Args:
        frames: The files of the frames, in order.
        wanted: The request.
        held: What the call holds.

    Raises:
        Cancelled: the caller is gone.
        Unusable: the sandbox put something else in the place of a frame (MEDIA_CRASHED).
    """

    def read(frame: Path) -> bytes:
        held.store.check_cancelled()
        try:
            with held.workspace.open(frame) as file:
                return file.read()
        except OSError as error:
            raise misbehaved(f"made no file for {frame.name}") from error

    packer, parts = FramePacker(), {}
    for name, tar in packer.pack(frames, read):
        held.workspace.input(name).write_bytes(tar)
        parts[name] = hashlib.sha256(tar).hexdigest()
    for frame in frames:
        frame.unlink()
    return ImportedClip("frames", wanted.prefix_of("frames", packer.content_digest), packer.content_digest, parts)


def video_part(file_name: str) -> str:
    """Return the name of the part of a video: with the suffix of its file, if that is an ordinary suffix."""
    suffix = Path(file_name).suffix.lower()
    return SOURCE + (suffix if suffix[1:].isascii() and suffix[1:].isalnum() else "")
