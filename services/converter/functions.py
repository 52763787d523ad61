"""The functions that the converter's sandboxes run, with the types of their arguments and results.

The server process imports this module, so it imports no media library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from facefoundry.errors import DataLoss
from facefoundry.media.level import Level
from facefoundry.storage.info import ConversionFacts, VideoFacts
from facefoundry.work.function import SandboxFunction

__all__ = ["CONVERT", "TRANSCODE", "ConversionOptions", "ConvertArgs", "Letter", "Start", "TranscodeArgs"]

Letter = Literal["a", "b"]
"""A side of a pair, as a letter."""


@dataclass(frozen=True)
class ConversionOptions:
    """The fields of the message `v1.ConversionOptions`; here `clone` is None if `seamless` is false."""

    mask: str
    erosion: int
    blur: int
    seamless: bool
    batch_size: int
    chunk_frames: int
    frame_ranges: tuple[dict[str, int], ...] = ()
    discard: bool = False
    clone: str | None = None
    mouth: str = "source"
    detail: float = 0.0
    colours: str = "source"


@dataclass(frozen=True)
class Start:
    """How the training of a model began, as its manifest says.

    Attributes:
        base_digest: Content digest of the base from which it started; empty if there was none, or if it is not known.
        common_iterations: Iterations with one common decoder.
    """

    base_digest: str = ""
    common_iterations: int = 0


@dataclass(frozen=True)
class FakeRights:
    """The rights to the clips of a fake: SHA-256 of a record each, or `unstated`.

    Attributes:
        target_rights: Rights to the target.
        source_rights: Rights to the sequence that gives the face.
    """

    target_rights: str = "unstated"
    source_rights: str = "unstated"


@dataclass(frozen=True)
class Content:
    """What a result must have as its content, because the digest of the conversion is made of it.

    Attributes:
        uri: URI of the result, for messages.
        digest: Its content digest; empty for any.
    """

    uri: str = ""
    digest: str = ""

    def require(self, found: str) -> None:
        """Check the content digest that was computed from what was read.

        Raises:
            DataLoss: it is another one (DIGEST_MISMATCH).
        """
        if self.digest not in ("", found):
            raise DataLoss(
                f"Expected {self.uri} to have the content digest {self.digest} of its manifest. Received {found}: "
                "another program wrote it. Delete its prefix and make it again.",
                resource=self.uri,
            )


@dataclass(frozen=True, kw_only=True)
class TranscodeArgs:
    """Arguments of `TRANSCODE`. Files are given by their names in the sandbox's workspace.

    Attributes:
        clip_files: Files of the clip to encode: one video, or tars of frames.
        frame_rate: Frames per second that were given, as numerator and denominator; None for a video that is read at
            its own.
        tolerate_damage: Whether damaged frames are read and not refused.
        levels: Compression levels to encode.
    """

    clip_files: tuple[str, ...]
    frame_rate: tuple[int, int] | None
    levels: tuple[Level, ...]
    tolerate_damage: bool = False


@dataclass(frozen=True, kw_only=True)
class ConvertArgs(TranscodeArgs):
    """Arguments of `CONVERT`. `clip_files` are the files of the target, whose frames the fake keeps.

    Attributes:
        alignments: File of the target's `Alignments`.
        weights: File of the model's weights.
        decoder: Side whose decoder makes the faces.
        control: Whether `decoder` is the target's own side, so that the result is a control and not a swap.
        options: Conversion options of the recipe.
        target: Content of the target's extraction.
        model: Content of the model.
        start: How the training of the model began.
        rights: The rights to the clips.
    """

    alignments: str
    weights: str
    decoder: Letter
    control: bool
    options: ConversionOptions
    target: Content = Content()
    model: Content = Content()
    start: Start = Start()
    rights: FakeRights = FakeRights()


CONVERT = SandboxFunction("services.converter.pipeline:convert", ConvertArgs, ConversionFacts)
TRANSCODE = SandboxFunction("services.converter.pipeline:transcode", TranscodeArgs, VideoFacts)
