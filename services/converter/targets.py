"""The functions that the converter's children run, with the types of their arguments and results; it loads no codec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from facefoundry.media.level import Level
from facefoundry.storage.info import ConversionFacts, VideoFacts
from facefoundry.work.target import Target

__all__ = ["CONVERT", "TRANSCODE", "ConversionOptions", "ConvertArgs", "Letter", "TranscodeArgs"]

Letter = Literal["a", "b"]
"""A side of a pair."""


@dataclass(frozen=True)
class ConversionOptions:
    """Fields of `v1.ConversionOptions`; `clone` is None where `seamless` is false."""

    mask: str
    erosion: int
    blur: int
    seamless: bool
    batch_size: int
    chunk_frames: int
    frame_ranges: tuple[dict[str, int], ...] = ()
    discard: bool = False
    clone: str | None = None


@dataclass(frozen=True, kw_only=True)
class TranscodeArgs:
    """Arguments of `TRANSCODE`; files are names in the workspace.

    Attributes:
        source: The video, or the tars of frames.
        frame_rate: Numerator and denominator, for frames; None for a video, which has its own.
        levels: Compression levels.
    """

    source: tuple[str, ...]
    frame_rate: tuple[int, int] | None
    levels: tuple[Level, ...]


@dataclass(frozen=True, kw_only=True)
class ConvertArgs(TranscodeArgs):
    """Arguments of `CONVERT`; the source is the target sequence.

    Attributes:
        alignments: The target's `Alignments`.
        weights: The model's networks.
        decoder: Side whose face is put on the target.
        control: The decoder is that of the target's own side.
        options: Fields of the recipe.
    """

    alignments: str
    weights: str
    decoder: Letter
    control: bool
    options: ConversionOptions


CONVERT = Target("services.converter.pipeline:convert", ConvertArgs, ConversionFacts)
TRANSCODE = Target("services.converter.pipeline:transcode", TranscodeArgs, VideoFacts)
