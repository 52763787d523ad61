"""The facts (`info`) in the manifest of each kind of result; read them with `Manifest.info_as`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from facefoundry.codec import JsonObject

__all__ = [
    "ConversionFacts",
    "ConversionInfo",
    "ExtractionInfo",
    "FrameRate",
    "ModelInfo",
    "PreviewInfo",
    "ReasonCount",
    "SourceInfo",
    "TranscodingInfo",
    "VideoFacts",
]


@dataclass(frozen=True)
class FrameRate:
    """Frames per second as an exact fraction."""

    numerator: int
    denominator: int


@dataclass(frozen=True)
class ReasonCount:
    """How many frames share a reason, such as `NO_FACE`."""

    reason: str
    frames: int


@dataclass(frozen=True, kw_only=True)
class SourceInfo:
    """Facts about a source.

    Attributes:
        kind: A video file, or a folder of frames.
        file_name: Name of the file or folder that was uploaded.
        frame_rate: Frames per second of a folder, `<numerator>/<denominator>`; empty for a video, which has its own.
        frames: Number of frames of a folder; 0 for a video.
        rights: On which basis the source may be used.
    """

    kind: Literal["video", "frames"] = "video"
    file_name: str = ""
    frame_rate: str = ""
    frames: int = 0
    rights: str = "unstated"

    @property
    def rate(self) -> tuple[int, int] | None:
        """The frame rate as numerator and denominator; None if there is none, or it is no fraction."""
        numerator, _, denominator = self.frame_rate.partition("/")
        if not (numerator.isdigit() and denominator.isdigit() and int(numerator) and int(denominator)):
            return None
        return int(numerator), int(denominator)


@dataclass(frozen=True, kw_only=True)
class ExtractionInfo:
    """Facts about an extraction.

    Attributes:
        content_digest: SHA-256 over decoded frames, boxes, landmarks and crops, 64 hex digits.
        frame_count: Frames of the sequence.
        face_count: Frames with the subject's face.
        missing: Frames without it, by reason.
        frame_rate: Frames per second.
        width: Width after rotation, pixels.
        height: Height after rotation, pixels.
        engine: Name of the engine.
    """

    content_digest: str
    frame_count: int
    face_count: int
    missing: list[ReasonCount]
    frame_rate: FrameRate
    width: int
    height: int
    engine: str


@dataclass(frozen=True)
class PreviewInfo:
    """A preview picture of a training: after which iteration it was made, and the key of the JPEG."""

    iteration: int
    key: str


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """Facts about a model.

    Attributes:
        iterations: Iterations of its training; 0 if unknown.
        pair_id: The pair's ids, `<A>_<B>`; empty for an imported model.
        losses: Rows of iteration, loss A, loss B.
        previews: Preview pictures of the training.
        seconds: Time of the training; 0 if unknown.
        architecture: Sizes of the networks of an imported model, else None.
    """

    iterations: int
    pair_id: str = ""
    losses: list[tuple[int, float, float]] = field(default_factory=list)
    previews: list[PreviewInfo] = field(default_factory=list)
    seconds: float = 0.0
    architecture: JsonObject | None = None


@dataclass(frozen=True, kw_only=True)
class VideoFacts:
    """What a child finds out about the videos that it writes.

    Attributes:
        frame_count: Frames that were written.
        frame_rate: Frames per second, `<numerator>/<denominator>`.
        width: Width in pixels.
        height: Height in pixels.
        decoder: Builds of the libraries that decoded the source.
    """

    frame_count: int
    frame_rate: str
    width: int
    height: int
    decoder: str


@dataclass(frozen=True, kw_only=True)
class ConversionFacts(VideoFacts):
    """What a child finds out about a conversion.

    Attributes:
        swapped_count: Frames that carry the other face.
        unswapped: Frames that do not, by reason.
        quality: Figures of the sequence by name.
        samples: Frames that `samples.tar` shows.
    """

    swapped_count: int
    unswapped: dict[str, int]
    quality: dict[str, float]
    samples: list[int]


@dataclass(frozen=True, kw_only=True)
class ConversionInfo(ConversionFacts):
    """Facts about a conversion.

    Attributes:
        synthetic: True.
        rights: On which basis the target may be used.
        target_id: Sequence that carries the face.
        source_id: Sequence whose face it carries.
        target_side: Side that the target was trained as, `a` or `b`.
        decoder_side: Side whose decoder made the face.
        control: True when that is the target's own side.
        trained_on_target: True when the model was trained on this very extraction.
    """

    synthetic: bool
    rights: str
    target_id: str
    source_id: str
    target_side: str
    decoder_side: str
    control: bool
    trained_on_target: bool


@dataclass(frozen=True, kw_only=True)
class TranscodingInfo(VideoFacts):
    """Facts about a transcoding.

    Attributes:
        synthetic: False.
        rights: On which basis the source may be used.
        sequence_id: The real sequence.
    """

    synthetic: bool
    rights: str
    sequence_id: str
