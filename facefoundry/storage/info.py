"""Facts in the manifests of extractions, conversions and transcodings; read them with `codec.from_values`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ConversionInfo", "ExtractionInfo", "FrameRate", "ReasonCount", "TranscodingInfo"]


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


@dataclass(frozen=True, kw_only=True)
class _VideoInfo:
    """Facts about written videos.

    Attributes:
        frame_count: Frames that were written.
        frame_rate: Frames per second, `<numerator>/<denominator>`.
        width: Width in pixels.
        height: Height in pixels.
        decoder: Builds of the libraries that decoded the source.
        rights: On which basis the source may be used.
        synthetic: True for fakes, False for real videos.
    """

    frame_count: int
    frame_rate: str
    width: int
    height: int
    decoder: str
    rights: str
    synthetic: bool


@dataclass(frozen=True, kw_only=True)
class ConversionInfo(_VideoInfo):
    """Facts about a conversion.

    Attributes:
        target_id: Sequence that carries the face.
        source_id: Sequence whose face it carries.
        target_side: Side that the target was trained as, `a` or `b`.
        decoder_side: Side whose decoder made the face.
        control: True when that is the target's own side.
        trained_on_target: True when the model was trained on this very extraction.
        swapped_count: Frames that carry the other face.
        untouched: Frames that do not, by reason.
        quality: Figures of the sequence by name.
        samples: Frames that `samples.tar` shows.
    """

    target_id: str
    source_id: str
    target_side: str
    decoder_side: str
    control: bool
    trained_on_target: bool
    swapped_count: int
    untouched: dict[str, int]
    quality: dict[str, float]
    samples: list[int]


@dataclass(frozen=True, kw_only=True)
class TranscodingInfo(_VideoInfo):
    """Facts about a transcoding.

    Attributes:
        sequence_id: The real sequence.
    """

    sequence_id: str
