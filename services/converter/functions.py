"""The functions that the converter's sandboxes run, with the types of their arguments and results.

The server process imports this module, so it imports no media library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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


@dataclass(frozen=True)
class Start:
    """How the training of a model began, as its manifest says.

    Attributes:
        base_digest: Content digest of the base from which it started; empty if there was none, or if it is not known.
        common_iterations: Iterations with one common decoder.
    """

    base_digest: str = ""
    common_iterations: int = 0


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
        start: How the training of the model began.
    """

    alignments: str
    weights: str
    decoder: Letter
    control: bool
    options: ConversionOptions
    start: Start = Start()


CONVERT = SandboxFunction("services.converter.pipeline:convert", ConvertArgs, ConversionFacts)
TRANSCODE = SandboxFunction("services.converter.pipeline:transcode", TranscodeArgs, VideoFacts)
