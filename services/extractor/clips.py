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
from facefoundry.storage import keys
from facefoundry.storage.frames import FramePacker
from facefoundry.storage.parts import SOURCE
from facefoundry.v1 import extractor_pb2
from facefoundry.work.workspace import Workspace

__all__ = ["ImportedClip", "Wanted", "frames_of", "prefix_of_video", "video_of", "video_part"]


@dataclass(frozen=True)
class Wanted:
    """A checked request to import a clip.

    Attributes:
        uri: URI of the object; that of a folder of frames ends with `/`.
        frame_rate: Frames per second of frames; 0 for a video, which states its own.
        rights: The basis on which the clip may be used; `unstated` if unknown.
        sha256: SHA-256 that the object must have; empty for any.
    """

    uri: str
    frame_rate: Fraction
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
            frame_rate=Fraction(rate.numerator, rate.denominator) if given else Fraction(0),
            rights=request.rights or "unstated",
            sha256=request.sha256,
        )
        low, high = FRAME_RATES
        if given and not low <= wanted.frame_rate <= high:
            raise _wrong("frame_rate", f"must be from {low} to {high} frames per second", "FRAME_RATE", wanted.uri)
        if given != (wanted.is_folder or wanted.is_tar):
            rule = "must not be set: a video states its own" if given else "must be set for frames"
            raise _wrong("frame_rate", rule, "FRAME_RATE", wanted.uri)
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
    def rate(self) -> tuple[int, int]:
        """The frame rate as numerator and denominator."""
        return self.frame_rate.numerator, self.frame_rate.denominator

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
        frame_rate: Frames per second of frames, as numerator and denominator; None for a video, which states its own.
    """

    kind: Literal["video", "frames"]
    prefix: str
    content_digest: str
    parts: dict[str, str]
    frame_rate: tuple[int, int] | None = None


def prefix_of_video(sha256: str) -> str:
    """Return the prefix of a video with this SHA-256."""
    return keys.source(keys.digest_of({"video": sha256}))


def video_of(part: str, sha256: str) -> ImportedClip:
    """Return the clip that is one video file.

    Args:
        part: Name of the part and file.
        sha256: SHA-256 of its bytes.
    """
    return ImportedClip("video", prefix_of_video(sha256), sha256, {part: sha256})


def frames_of(frames: Sequence[Path], rate: Fraction, workspace: Workspace) -> ImportedClip:
    """Pack frames into tars in the workspace's folder `inputs`, and delete their files.

    Args:
        frames: The files of the frames, in order.
        rate: Frames per second.
        workspace: The folders of the call.
    """
    packer, parts = FramePacker(), {}
    for name, tar in packer.pack(frames):
        workspace.input(name).write_bytes(tar)
        parts[name] = hashlib.sha256(tar).hexdigest()
    for frame in frames:
        frame.unlink()
    written = f"{rate.numerator}/{rate.denominator}"
    prefix = keys.source(keys.digest_of({"frames": packer.content_digest, "frame_rate": written}))
    return ImportedClip("frames", prefix, packer.content_digest, parts, (rate.numerator, rate.denominator))


def video_part(file_name: str) -> str:
    """Return the name of the part of a video: with the suffix of its file, if that is an ordinary suffix."""
    suffix = Path(file_name).suffix.lower()
    return SOURCE + (suffix if suffix[1:].isascii() and suffix[1:].isalnum() else "")
