"""The allowed values of a complete recipe: those that the protos annotate, and what must fit together."""

from __future__ import annotations

from collections.abc import Iterator

from facefoundry import constraints
from facefoundry.errors import FieldViolation
from facefoundry.recipes import ranges
from facefoundry.v1 import recipe_pb2

__all__ = ["violations"]

_SMALL_FACE, _SMALL_FACE_LAYERS = 64, 4
_FAITHFUL = "ffpp"


def violations(recipe: recipe_pb2.Recipe) -> Iterator[FieldViolation]:
    """Yield everything that is wrong with a complete recipe, by field."""
    if recipe.extraction.padding * 2 >= recipe.extraction.crop_size:
        yield _violation("recipe.extraction.padding", "less than half of crop_size", recipe.extraction.padding)
    yield from _check_layers(recipe.training)
    yield from _check_faithful(recipe)
    yield from _check_levels(recipe.compression)
    yield from _check_frame_ranges(recipe.conversion)
    yield from (found.to_field() for found in constraints.broken_rules(recipe, "recipe"))


def _check_layers(training: recipe_pb2.TrainingOptions) -> Iterator[FieldViolation]:
    """Check the numbers of layers: each encoder layer halves the face, to 4x4 at least; the decoder has one fewer."""
    encoder, decoder = list(training.encoder_filters), list(training.decoder_filters)
    if training.face_size == _SMALL_FACE and len(encoder) > _SMALL_FACE_LAYERS:
        allowed = f"{_SMALL_FACE_LAYERS} numbers if face_size is {_SMALL_FACE}"
        yield _violation("recipe.training.encoder_filters", allowed, encoder)
    if len(decoder) != len(encoder) - 1:
        yield _violation("recipe.training.decoder_filters", "one number fewer than encoder_filters", decoder)
    if training.shared_blocks > len(decoder):
        allowed = f"at most {len(decoder)}, the number of decoder_filters"
        yield _violation("recipe.training.shared_blocks", allowed, training.shared_blocks)


def _check_faithful(recipe: recipe_pb2.Recipe) -> Iterator[FieldViolation]:
    """Check that the faithful recipe trains and converts as FF++ did."""
    if recipe.name != _FAITHFUL:
        return
    why = f"in the recipe {_FAITHFUL}, which is faithful: FF++ trained two decoders from random weights"
    if recipe.training.common_iterations:
        yield _violation("recipe.training.common_iterations", f"0 {why}", recipe.training.common_iterations)
    if recipe.training.start_from:
        yield _violation("recipe.training.start_from", f"empty {why}", recipe.training.start_from)
    if recipe.training.colours != "kept":
        what = f"kept in the recipe {_FAITHFUL}, which is faithful: FF++'s network saw the colours of the faces"
        yield _violation("recipe.training.colours", what, recipe.training.colours)
    if recipe.training.shared_blocks:
        yield _violation("recipe.training.shared_blocks", f"0 {why}", recipe.training.shared_blocks)
    if recipe.training.dssim:
        what = f"0 in the recipe {_FAITHFUL}, which is faithful: FF++'s loss was the mean absolute error"
        yield _violation("recipe.training.dssim", what, recipe.training.dssim)
    if recipe.training.loss_weights != "even":
        what = f"even in the recipe {_FAITHFUL}, which is faithful: FF++'s loss had no weights"
        yield _violation("recipe.training.loss_weights", what, recipe.training.loss_weights)
    given = f"in the recipe {_FAITHFUL}, which is faithful: FF++ blended the face as the network made it"
    for name in ("mouth", "colours"):
        if (chosen := getattr(recipe.conversion, name)) != "source":
            yield _violation(f"recipe.conversion.{name}", f"source {given}", chosen)
    if recipe.conversion.detail:
        yield _violation("recipe.conversion.detail", f"0 {given}", recipe.conversion.detail)


def _check_frame_ranges(conversion: recipe_pb2.ConversionOptions) -> Iterator[FieldViolation]:
    yield from ranges.violations(ranges.of(conversion))
    if conversion.discard and not conversion.frame_ranges:
        yield _violation("recipe.conversion.discard", "false without frame_ranges", True)


def _check_levels(compression: recipe_pb2.CompressionOptions) -> Iterator[FieldViolation]:
    names = [level.name for level in compression.levels]
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
