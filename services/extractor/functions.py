"""The functions that the extractor's children run, with the types of their arguments and results; no heavy library."""

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
]

PART_FRAMES = 500
"""Frames of one part; the detector runs on the first frame of each part."""


@dataclass(frozen=True)
class ExtractionOptions:
    """Fields of `v1.ExtractionOptions`."""

    engine: str
    crop_size: int
    padding: int
    integer_landmarks: bool
    detect_every: int
    identity: bool


@dataclass(frozen=True, kw_only=True)
class ClipArgs:
    """The clip and the weights for its engine.

    Attributes:
        source: Names in the workspace: the video, or the tars of frames.
        frame_rate: Numerator and denominator, for frames; None for a video, which has its own.
        weights_dir: Folder of weights, for engines that do not bring their own.
    """

    source: tuple[str, ...]
    frame_rate: tuple[int, int] | None = None
    weights_dir: Path | None = None


@dataclass(frozen=True, kw_only=True)
class ExtractArgs(ClipArgs):
    """Arguments of `EXTRACT`.

    Attributes:
        name: What messages call the sequence.
        options: Fields of the recipe.
        part_frames: Frames of one part.
    """

    name: str
    options: ExtractionOptions
    part_frames: int = PART_FRAMES


@dataclass(frozen=True, kw_only=True)
class InspectArgs(ClipArgs):
    """Arguments of `INSPECT`.

    Attributes:
        engine: Name of the engine that searches for faces.
        sample_frames: How many evenly spaced frames it searches.
    """

    engine: str
    sample_frames: int


@dataclass(frozen=True)
class FaceSample:
    """The number of faces in a searched frame."""

    frame: int
    faces: int


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What a source holds; fields as in `v1.InspectResponse`."""

    frame_count: int
    frame_rate: FrameRate
    width: int
    height: int
    rotation: int
    codec: str
    samples: list[FaceSample]


EXTRACT = SandboxFunction("services.extractor.pipeline:extract", ExtractArgs, ExtractionInfo)
INSPECT = SandboxFunction("services.extractor.pipeline:inspect", InspectArgs, Inspection)
