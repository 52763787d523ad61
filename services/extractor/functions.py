"""The functions that the extractor's sandboxes run, with the types of their arguments and results.

The server process imports this module, so it imports no media or machine-learning library.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from facefoundry.storage.info import ExtractionInfo, FrameRate
from facefoundry.work.function import SandboxFunction

__all__ = [
    "EXTRACT",
    "INSPECT",
    "PART_FRAMES",
    "ClipArgs",
    "ExtractArgs",
    "ExtractionOptions",
    "FaceSample",
    "InspectArgs",
    "Inspection",
    "UNPACK",
    "UnpackArgs",
    "Unpacked",
]

PART_FRAMES = 500
"""Number of frames in each part but the last. The detector runs on the first frame of each part."""


@dataclass(frozen=True)
class ExtractionOptions:
    """The fields of the message `v1.ExtractionOptions`."""

    engine: str
    crop_size: int
    padding: int
    integer_landmarks: bool
    detect_every: int
    identity: bool


@dataclass(frozen=True, kw_only=True)
class ClipArgs:
    """The arguments that `EXTRACT` and `INSPECT` have in common.

    Attributes:
        clip_files: Files of the clip, by their names in the sandbox's workspace: one video, or tars of frames.
        frame_rate: Frames per second that were given, as numerator and denominator; None for a video that is read at
            its own.
        tolerate_damage: Whether damaged frames are labelled and not refused.
        weights_dir: Folder of the engine's weights; None for an engine whose package contains them.
    """

    clip_files: tuple[str, ...]
    frame_rate: tuple[int, int] | None = None
    tolerate_damage: bool = False
    weights_dir: Path | None = None


@dataclass(frozen=True, kw_only=True)
class ExtractArgs(ClipArgs):
    """Arguments of `EXTRACT`.

    Attributes:
        name: Id of the sequence, for messages.
        options: Extraction options of the recipe.
        part_frames: Number of frames in each part but the last.
    """

    name: str
    options: ExtractionOptions
    part_frames: int = PART_FRAMES


@dataclass(frozen=True, kw_only=True)
class InspectArgs(ClipArgs):
    """Arguments of `INSPECT`.

    Attributes:
        engine: Name of the engine that searches for faces.
        sample_frames: Number of evenly spaced frames to search for faces; 0 for none.
    """

    engine: str
    sample_frames: int


@dataclass(frozen=True)
class FaceSample:
    """The number of faces in one frame that was searched.

    Attributes:
        frame: Number of the frame, from 0.
        faces: Number of faces that the engine found.
    """

    frame: int
    faces: int


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The properties of a clip; the fields are those of `v1.InspectResponse`."""

    frame_count: int
    frame_rate: FrameRate
    width: int
    height: int
    rotation: int
    codec: str
    samples: list[FaceSample]
    mirrored: bool
    rate_basis: str
    stated_frame_rate: FrameRate | None
    remarks: list[str]
    damaged_count: int


@dataclass(frozen=True)
class UnpackArgs:
    """Arguments of `UNPACK`.

    Attributes:
        tar: Name of the tar in the sandbox's workspace.
        max_frames: Maximum number of frames.
    """

    tar: str
    max_frames: int


@dataclass(frozen=True)
class Unpacked:
    """The number of frames that were unpacked into the workspace's folder `made`."""

    frame_count: int


EXTRACT = SandboxFunction("services.extractor.pipeline:extract", ExtractArgs, ExtractionInfo)
INSPECT = SandboxFunction("services.extractor.pipeline:inspect", InspectArgs, Inspection)
UNPACK = SandboxFunction("services.extractor.unpack:unpack", UnpackArgs, Unpacked)
