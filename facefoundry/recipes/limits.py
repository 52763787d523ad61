"""The allowed values of every recipe field; `violations` checks a complete recipe."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from facefoundry.errors import FieldViolation
from facefoundry.recipes import ranges
from facefoundry.v1 import recipe_pb2

__all__ = ["RULES", "Rule", "violations"]


class Rule(NamedTuple):
    """The allowed values of a field.

    Attributes:
        accept: Returns whether a value is allowed.
        allowed: Describes the allowed values; messages put it after "must be".
    """

    accept: Callable[[Any], bool]  # the fields have different types
    allowed: str


def _between(low: float, high: float) -> Rule:
    return Rule(lambda value: low <= value <= high, f"from {low:.10g} to {high:.10g}")


def _one_of(*values: str | int) -> Rule:
    return Rule(lambda value: value in values, "one of " + ", ".join(map(str, values)))


def _each(low: int, high: int, *counts: int) -> Rule:
    return Rule(
        lambda values: len(values) in counts and all(low <= value <= high for value in values),
        f"{' or '.join(map(str, counts))} numbers from {low} to {high}",
    )


# The folders of levels are siblings of these.
_RESERVED = ("masks", "models", "labels")
_NAME = Rule(
    lambda name: name.isascii() and name.isalnum() and len(name) <= 32 and name not in _RESERVED,
    "1 to 32 letters and digits, and not " + " or ".join(_RESERVED),
)

# The extractor knows which engines are installed, and refuses others.
_ENGINE = Rule(
    lambda name: re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name) is not None,
    "the name of an engine: 1 to 64 letters, digits, _ and -",
)

RULES: Mapping[str, Rule] = {
    "extraction.engine": _ENGINE,
    "extraction.crop_size": _between(64, 1024),
    "extraction.padding": _between(0, 256),
    "extraction.detect_every": _between(1, 1000),
    "training.encoder_filters": _each(1, 4096, 4, 5),
    "training.bottleneck": _between(1, 8192),
    "training.upscale_filters": _between(1, 4096),
    "training.decoder_filters": _each(1, 4096, 3, 4),
    "training.iterations": _between(1, 10_000_000),
    "training.batch_size": _between(1, 1024),
    "training.learning_rate": _between(1e-9, 1.0),
    "training.beta1": _between(0.0, 0.9999),
    "training.beta2": _between(0.0, 0.999999),
    "training.epsilon": _between(1e-12, 1.0),
    "training.precision": _one_of("float32", "tensorfloat32", "bfloat16"),
    "training.seed": Rule(lambda value: 0 <= value < 1 << 63, "from 0 to 2^63 - 1"),
    "training.rotation_degrees": _between(0.0, 90.0),
    "training.zoom": _between(0.0, 0.5),
    "training.shift": _between(0.0, 0.5),
    "training.flip_probability": _between(0.0, 1.0),
    "training.warp_sigma": _between(0.0, 32.0),
    "training.face_size": _one_of(64, 128),
    "conversion.mask": _one_of("facehullandrect", "facehull", "rect"),
    "conversion.erosion": _between(-64, 64),
    "conversion.blur": _between(0, 64),
    "conversion.clone": _one_of("opencv-3.4.1", "opencv-5"),
    "conversion.batch_size": _between(1, 256),
    "conversion.chunk_frames": _between(1, 256),
    "compression.name": _NAME,
    "compression.levels.name": _NAME,
    "compression.levels.codec": _one_of("libx264rgb", "libx264"),
    "compression.levels.crf": _between(0, 51),
    "compression.levels.pixel_format": _one_of("gbrp", "yuv444p", "yuv420p"),
    "compression.levels.preset": _one_of(
        "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"
    ),
    "compression.levels.coder": _one_of("cabac", "cavlc"),
    "compression.levels.keyframe_interval": _between(1, 1000),
}
"""By path. Boolean fields have no rule, nor have fields that `violations` checks together."""

_SMALL_FACE, _SMALL_FACE_LAYERS = 64, 4
_LEVEL = "compression.levels."
_MAX_LEVELS = 8


def violations(recipe: recipe_pb2.Recipe) -> Iterator[FieldViolation]:
    """Yield everything that is wrong with a complete recipe, by field."""
    for path, rule in RULES.items():
        if path.startswith(_LEVEL):
            name = path.removeprefix(_LEVEL)
            for index, level in enumerate(recipe.compression.levels):
                yield from _check(f"recipe.compression.levels[{index}].{name}", rule, getattr(level, name))
        else:
            stage, name = path.split(".")
            yield from _check(f"recipe.{path}", rule, getattr(getattr(recipe, stage), name))
    if recipe.extraction.padding * 2 >= recipe.extraction.crop_size:
        yield _violation("recipe.extraction.padding", "less than half of crop_size", recipe.extraction.padding)
    yield from _check_layers(recipe.training)
    yield from _check_levels(recipe.compression)
    yield from _check_frame_ranges(recipe.conversion)


def _check(field: str, rule: Rule, value: object) -> Iterator[FieldViolation]:
    if not rule.accept(value):
        yield _violation(field, rule.allowed, value)


def _check_layers(training: recipe_pb2.TrainingOptions) -> Iterator[FieldViolation]:
    """Check the numbers of layers: each encoder layer halves the face, to 4x4 at least; the decoder has one fewer."""
    encoder, decoder = list(training.encoder_filters), list(training.decoder_filters)
    if training.face_size == _SMALL_FACE and len(encoder) > _SMALL_FACE_LAYERS:
        allowed = f"{_SMALL_FACE_LAYERS} numbers if face_size is {_SMALL_FACE}"
        yield _violation("recipe.training.encoder_filters", allowed, encoder)
    if len(decoder) != len(encoder) - 1:
        yield _violation("recipe.training.decoder_filters", "one number fewer than encoder_filters", decoder)


def _check_frame_ranges(conversion: recipe_pb2.ConversionOptions) -> Iterator[FieldViolation]:
    yield from ranges.violations(ranges.of(conversion))
    if conversion.discard and not conversion.frame_ranges:
        yield _violation("recipe.conversion.discard", "false without frame_ranges", True)


def _check_levels(compression: recipe_pb2.CompressionOptions) -> Iterator[FieldViolation]:
    names = [level.name for level in compression.levels]
    if len(names) > _MAX_LEVELS:
        yield _violation("recipe.compression.levels", f"at most {_MAX_LEVELS} levels", names)
    if len(set(names)) != len(names):
        yield _violation("recipe.compression.levels", "levels with different names", names)
    if "raw" not in names:
        yield _violation("recipe.compression.levels", "levels that include the lossless one, raw", names)
    for index, level in enumerate(compression.levels):
        field = f"recipe.compression.levels[{index}]"
        if level.name == "raw" and (level.codec, level.crf) != ("libx264rgb", 0):
            yield _violation(
                field, "lossless (codec libx264rgb, crf 0), because it is raw", f"{level.codec}, crf {level.crf}"
            )
        if (level.codec == "libx264rgb") != (level.pixel_format == "gbrp"):
            what = f"{level.codec}, {level.pixel_format}"
            yield _violation(field, "libx264rgb with gbrp, or libx264 with yuv444p or yuv420p", what)


def _violation(field: str, allowed: str, value: object) -> FieldViolation:
    shown = list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else value
    return FieldViolation(field, f"must be {allowed}; got {shown!r}")
