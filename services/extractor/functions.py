"""The functions that the extractor's sandboxes run, with the types of their arguments and results.

The server process imports this module, so it imports no media or machine-learning library.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from facefoundry.storage.info import ExtractionInfo, ExtractionWarning, FrameRate
from facefoundry.work.function import SandboxFunction

__all__ = [
    "EXTRACT",
    "INSPECT",
    "PART_FRAMES",
    "Chosen",
    "ClipArgs",
    "ExtractArgs",
    "ExtractionOptions",
    "FaceSample",
    "FaceShares",
    "InspectArgs",
    "Inspection",
    "SampledFace",
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
    subject: Literal["largest", "moving", "centre"] = "largest"


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Who the subject of a clip is.

    Attributes:
        kind: A rule of the recipe, or `point` or `picture`.
        frame: Number of the frame with the point.
        x: Pixels from the left edge to the point.
        y: Pixels from the upper edge to the point.
        picture: The picture's file in base64.
    """

    kind: Literal["largest", "moving", "centre", "point", "picture"]
    frame: int = 0
    x: float = 0.0
    y: float = 0.0
    picture: str = ""


@dataclass(frozen=True)
class FaceShares:
    """Shares of frames with the subject's face: below `warn` there is a warning, below `refuse` the clip is refused."""

    warn: float = 0.5
    refuse: float = 0.1


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
        chosen: Whom the extraction follows by face embeddings; None to follow as FF++ does.
        shares: Shares of frames with the subject's face below which there is a warning, or the clip is refused.
        is_fake: Whether the clip is a fake, which shows two people by design and may show no face.
        embed_every: With `options.identity`, number of frames of which one has its face embedded: of a fake the first,
            of other clips at least one; 1 for all.
        excluded: Ranges of frames that count as frames without a face; a range is a mapping as in `recipes.ranges`.
    """

    name: str
    options: ExtractionOptions
    part_frames: int = PART_FRAMES
    chosen: Chosen | None = None
    shares: FaceShares = FaceShares()
    is_fake: bool = False
    embed_every: int = 1
    excluded: tuple[dict[str, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class InspectArgs(ClipArgs):
    """Arguments of `INSPECT`.

    Attributes:
        engine: Name of the engine that searches for faces.
        sample_frames: Number of evenly spaced frames to search for faces; 0 for none.
        max_total: Largest number of pixels of all frames together.
    """

    engine: str
    sample_frames: int
    max_total: int


@dataclass(frozen=True)
class SampledFace:
    """The look of a face in one frame; the fields are those of `v1.SampledFace`, the picture in base64."""

    width: float
    height: float
    yaw: float | None
    pitch: float | None
    skin: tuple[float, float, float]
    picture: str


@dataclass(frozen=True)
class FaceSample:
    """The faces in one frame that was searched.

    Attributes:
        frame: Number of the frame, from 0.
        faces: Number of faces that the engine found.
        largest: The look of the largest one; None without a face.
    """

    frame: int
    faces: int
    largest: SampledFace | None = None


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
    warnings: list[ExtractionWarning] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)


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


_PREPARE = "services.extractor.pipeline:prepare"
EXTRACT = SandboxFunction("services.extractor.pipeline:extract", ExtractArgs, ExtractionInfo, _PREPARE)
INSPECT = SandboxFunction("services.extractor.pipeline:inspect", InspectArgs, Inspection, _PREPARE)
UNPACK = SandboxFunction("services.extractor.unpack:unpack", UnpackArgs, Unpacked)
