"""The facts (field `info`) in the manifest of each kind of result. `Manifest.info_as` reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from facefoundry.codec import Count, JsonObject

__all__ = [
    "ConversionFacts",
    "ConversionInfo",
    "ExtractionInfo",
    "ExtractionWarning",
    "FrameRate",
    "ModelInfo",
    "PreviewInfo",
    "ReasonCount",
    "Restart",
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
    """A reason why frames have no face or are not swapped, such as `NO_FACE`, and the number of these frames."""

    reason: str
    frames: int


@dataclass(frozen=True, kw_only=True)
class SourceInfo:
    """Facts about a source.

    Attributes:
        kind: `video` for a video file, `frames` for frames in tars.
        file_name: Name of the file or folder that was uploaded.
        frame_rate: Frames per second, `<numerator>/<denominator>`.
        frame_count: Number of frames.
        width: Width after rotation, pixels.
        height: Height after rotation, pixels.
        rotation: Clockwise rotation in the container, degrees.
        codec: Name of the codec, such as `h264`, or of the picture format.
        rights: SHA-256 of the record of the rights to the clip, as the first import said; or `unstated`.
        mirrored: Whether frames are mirrored before they are rotated.
        rate_basis: How the frame rate was found, such as `stated`; `given` if it is part of the source's digest.
        stated_frame_rate: Frames per second that the container states; None if it states none.
        remarks: Sentences on what is doubtful about the clip.
        tolerate_damage: Whether damaged frames are labelled and not refused.
    """

    kind: Literal["video", "frames"] = "video"
    file_name: str = ""
    frame_rate: str = ""
    frame_count: int = 0
    width: int = 0
    height: int = 0
    rotation: int = 0
    codec: str = ""
    rights: str = "unstated"
    mirrored: bool = False
    rate_basis: str = ""
    stated_frame_rate: FrameRate | None = None
    remarks: list[str] = field(default_factory=list)
    tolerate_damage: bool = False

    @property
    def rate(self) -> tuple[int, int] | None:
        """The frame rate as numerator and denominator; None if `frame_rate` is empty or not a fraction."""
        numerator, _, denominator = self.frame_rate.partition("/")
        if not (numerator.isdigit() and denominator.isdigit() and int(numerator) and int(denominator)):
            return None
        return int(numerator), int(denominator)

    @property
    def given_rate(self) -> tuple[int, int] | None:
        """The frame rate if it was given; None for a video that is read at its own."""
        return self.rate if self.kind == "frames" or self.rate_basis == "given" else None


@dataclass(frozen=True)
class ExtractionWarning:
    """Something about an extraction that a person should look at: a reason such as `FEW_FACES`, and a sentence."""

    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class ExtractionInfo:
    """Facts about an extraction.

    Attributes:
        content_digest: SHA-256 of decoded frames, boxes, landmarks and crops, 64 hex digits.
        frame_count: Number of frames of the sequence.
        face_count: Number of frames with the subject's face.
        missing: Numbers of frames without the subject's face, by reason.
        frame_rate: Frames per second.
        width: Width after rotation, pixels.
        height: Height after rotation, pixels.
        engine: Name of the engine.
        rate_basis: How the frame rate was found, such as `stated`.
        stated_frame_rate: Frames per second that the container states; None if it states none.
        remarks: Sentences on what is doubtful about the clip.
        warnings: What is in doubt about the subject and the faces.
        synthetic: Whether the sequence is a fake.
    """

    content_digest: str
    frame_count: int
    face_count: int
    missing: list[ReasonCount]
    frame_rate: FrameRate
    width: int
    height: int
    engine: str
    rate_basis: str = ""
    stated_frame_rate: FrameRate | None = None
    remarks: list[str] = field(default_factory=list)
    warnings: list[ExtractionWarning] = field(default_factory=list)
    synthetic: bool = False


@dataclass(frozen=True)
class PreviewInfo:
    """A preview picture of a training.

    Attributes:
        iteration: Iteration after which the picture was made.
        key: Object key of the JPEG.
        similarity: Structural similarity of the faces of A and of B to their reconstructions, -1 to 1; empty if it was
            not measured.
    """

    iteration: int
    key: str
    similarity: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Restart:
    """The restart of a training that collapsed: once, from iteration 0, at a lower learning rate.

    Attributes:
        collapsed_at: Iteration after which the collapse was found.
        learning_rate: Learning rate since the restart.
    """

    collapsed_at: Count
    learning_rate: float

    @property
    def sentence(self) -> str:
        """A sentence for the user."""
        return (
            f"The training collapsed by iteration {self.collapsed_at}. It restarted from iteration 0 with "
            f"learning_rate={self.learning_rate:g}."
        )


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """Facts about a model.

    Attributes:
        iterations: Iterations of its training; 0 if unknown.
        pair_id: Id of the pair, `<A>_<B>`; may be empty for an imported model.
        losses: Iteration, loss of side A, loss of side B.
        previews: Preview pictures of the training.
        seconds: Duration of the training; 0 if unknown.
        threads: Numbers of CPU threads of the workers that trained it, ascending; 0 for a GPU.
        restart: The restart of its training after a collapse; None if there was none.
        architecture: Sizes of the networks of an imported model; None for other models.
    """

    iterations: int
    pair_id: str = ""
    losses: list[tuple[int, float, float]] = field(default_factory=list)
    previews: list[PreviewInfo] = field(default_factory=list)
    seconds: float = 0.0
    threads: list[int] = field(default_factory=list)
    restart: Restart | None = None
    architecture: JsonObject | None = None


@dataclass(frozen=True, kw_only=True)
class VideoFacts:
    """Facts that a sandbox reports about the videos that it wrote.

    Attributes:
        frame_count: Number of frames in each video.
        frame_rate: Frames per second, `<numerator>/<denominator>`.
        width: Width in pixels.
        height: Height in pixels.
        decoder: Versions of the libraries that decoded the source.
    """

    frame_count: int
    frame_rate: str
    width: int
    height: int
    decoder: str


@dataclass(frozen=True, kw_only=True)
class ConversionFacts(VideoFacts):
    """Facts that a sandbox reports about a conversion.

    Attributes:
        swapped_count: Number of frames in which the face was replaced.
        unswapped: Numbers of the other frames, by reason.
        quality: Measurements of the fake, by name.
        samples: Numbers of the frames whose pictures are in `samples.tar`.
    """

    swapped_count: int
    unswapped: dict[str, int]
    quality: dict[str, float]
    samples: list[int]


@dataclass(frozen=True, kw_only=True)
class ConversionInfo(ConversionFacts):
    """Facts about a conversion.

    Attributes:
        synthetic: Whether the video is synthetic; always true.
        rights: SHA-256 of the record of the rights to the target; or `unstated`.
        source_rights: The same of the sequence that gives the face.
        target_id: Id of the sequence whose frames the video keeps.
        source_id: Id of the sequence that gives the face.
        target_side: Side of the model that was trained on the target, `a` or `b`.
        decoder_side: Side of the decoder that made the faces.
        control: Whether `decoder_side` is `target_side`: the video is a control, not a fake.
        trained_on_target: Whether the model was trained on the extraction that was converted.
    """

    synthetic: bool
    rights: str
    target_id: str
    source_id: str
    target_side: str
    decoder_side: str
    control: bool
    trained_on_target: bool
    source_rights: str = "unstated"


@dataclass(frozen=True, kw_only=True)
class TranscodingInfo(VideoFacts):
    """Facts about a transcoding.

    Attributes:
        synthetic: Whether the video is synthetic; always false.
        rights: SHA-256 of the record of the rights to the source; or `unstated`.
        sequence_id: Id of the encoded sequence.
    """

    synthetic: bool
    rights: str
    sequence_id: str
