"""Every recipe field has its limits, and a value beyond them is refused by the field's name."""

from __future__ import annotations

import math
from typing import Any

import pytest

from facefoundry import recipes
from facefoundry.errors import InvalidInput
from facefoundry.v1 import recipe_pb2

# Field, the lowest and the highest value that are taken, and values beyond.
NUMBERS = [
    ("extraction.crop_size", 97, 1024, (63, 1025)),
    ("extraction.padding", 0, 127, (128, 257)),
    ("extraction.detect_every", 1, 1000, (0, 1001)),
    ("training.bottleneck", 1, 8192, (0, 8193)),
    ("training.upscale_filters", 1, 4096, (0, 4097)),
    ("training.iterations", 1, 10_000_000, (0, 10_000_001)),
    ("training.batch_size", 1, 1024, (0, 1025)),
    ("training.learning_rate", 1e-9, 1.0, (0.0, -1e-4, 1.001, math.nan, math.inf)),
    ("training.beta1", 0.0, 0.9999, (-0.1, 1.0, math.nan)),
    ("training.beta2", 0.0, 0.999999, (-0.1, 1.0, math.nan)),
    ("training.epsilon", 1e-12, 1.0, (0.0, 1.1, math.nan)),
    ("training.seed", 0, 2**63 - 1, (-1,)),
    ("training.rotation_degrees", 0.0, 90.0, (-1.0, 90.5, math.nan)),
    ("training.zoom", 0.0, 0.5, (-0.01, 0.51, math.nan)),
    ("training.shift", 0.0, 0.5, (-0.01, 0.51, math.nan)),
    ("training.flip_probability", 0.0, 1.0, (-0.01, 1.01, math.nan)),
    ("training.warp_sigma", 0.0, 32.0, (-0.1, 33.0, math.nan)),
    ("training.retry_learning_rate_factor", 0.0, 0.9, (-0.1, 1.0, math.nan)),
    ("training.common_iterations", 0, 10_000_000, (-1, 10_000_001)),
    ("training.shared_blocks", 0, 3, (-1, 4, 5)),
    ("training.dssim", 0.0, 10.0, (-0.1, 10.5, math.nan)),
    ("conversion.detail", 0.0, 2.0, (-0.1, 2.1, math.nan)),
    ("conversion.erosion", -64, 64, (-65, 65)),
    ("conversion.blur", 0, 64, (65,)),
    ("conversion.batch_size", 1, 256, (0, 257)),
    ("conversion.chunk_frames", 1, 256, (0, 257)),
    ("training.face_size", 64, 128, (0, 63, 96, 256)),
    ("compression.levels.crf", 0, 51, (52,)),
    ("compression.levels.keyframe_interval", 1, 1000, (0, 1001)),
]
WORDS = [
    ("extraction.engine", "an-engine_2", ("", "two words", "_first", "../x", "x" * 65)),
    ("extraction.subject", "moving", ("smallest", "")),
    ("training.precision", "bfloat16", ("int8", "")),
    ("training.augmentation", "composed", ("one", "")),
    (
        "training.start_from",
        f"s3://b/imports/{'0' * 40}",
        ("model", "base:", "base:../x", "s3://b/sources/" + "0" * 40),
    ),
    ("training.start_decoder", "b", ("c", "")),
    ("training.colours", "standardised", ("grey", "")),
    ("training.loss_weights", "face", ("mouth", "")),
    ("conversion.mouth", "target", ("lips", "")),
    ("conversion.colours", "target", ("grey", "")),
    ("conversion.mask", "rect", ("circle", "")),
    ("conversion.clone", "opencv-5", ("opencv-4", "3.4.1", "")),
    ("compression.name", "mine2", ("", "a_b", "../x", "x" * 33)),
    ("compression.levels.name", "c10", ("", "a_b", "../x", "masks", "x" * 33)),
    ("compression.levels.codec", "libx264", ("mpeg4", "")),
    ("compression.levels.pixel_format", "yuv420p", ("rgb24", "")),
    ("compression.levels.preset", "slow", ("placebo", "")),
    ("compression.levels.coder", "cavlc", ("vlc", "")),
]
LISTS = [
    (
        "training.encoder_filters",
        [1, 4096, 1, 4096],
        ([1, 2, 3], [1, 2, 3, 4, 5], [0, 1, 1, 1], [1, 1, 1, 4097]),
    ),
    ("training.decoder_filters", [1, 4096, 1], ([1, 2], [1, 2, 3, 4], [0, 1, 1], [4097, 1, 1])),
]
TAKEN: list[tuple[str, object]] = [(field, value) for field, low, high, _ in NUMBERS for value in (low, high)]
TAKEN += [(field, value) for field, value, _ in WORDS]
TAKEN += [(field, value) for field, value, _ in LISTS]
REFUSED: list[tuple[str, object]] = [(field, value) for field, _, _, beyond in NUMBERS for value in beyond]
REFUSED += [(field, value) for field, _, beyond in WORDS for value in beyond]
REFUSED += [(field, value) for field, _, beyond in LISTS for value in beyond]


def _with(field, value):
    """A whole recipe with one field changed; of the compression levels the second is."""
    recipe = recipes.load("preview")
    *path, name = field.split(".")
    message: Any = recipe
    for segment in path:
        message = message.levels[1] if segment == "levels" else getattr(message, segment)
    if isinstance(value, list):
        getattr(message, name)[:] = value
    else:
        setattr(message, name, value)
    return recipe


def _refusals(recipe):
    with pytest.raises(InvalidInput) as caught:
        recipes.resolve(recipe)
    assert caught.value.reason == "RECIPE_RANGE"
    return {violation.field: violation.description for violation in caught.value.violations}


@pytest.mark.parametrize(("field", "value"), TAKEN)
def test_a_value_at_its_limit_is_taken(field, value):
    recipe = _with(field, value)
    assert recipes.resolve(recipe) == recipe


@pytest.mark.parametrize(("field", "value"), REFUSED)
def test_a_value_beyond_its_limit_is_refused_by_the_fields_name(field, value):
    refused = _refusals(_with(field, value))
    path = "recipe." + field.replace("levels.", "levels[1].")
    wrong = next((found for found in refused if found in (path, f"{path}[0]", f"{path}[3]")), "")
    shown = repr(value) if wrong == path or not isinstance(value, list) else str(value[int(wrong[-2])])
    assert refused[wrong].startswith(("must be ", "must have ")) and f"got {shown}" in refused[wrong]


def _scalars(descriptor, prefix=""):
    for field in descriptor.fields:
        if field.message_type is not None:
            yield from _scalars(field.message_type, f"{prefix}{field.name}.")
        elif field.type != field.TYPE_BOOL:
            yield prefix + field.name


def test_no_field_is_without_a_row_here():
    # The name and version of a recipe select it; ranges are judged together.
    apart = {"name", "version", "description", "conversion.frame_ranges.first", "conversion.frame_ranges.last"}
    fields = set(_scalars(recipe_pb2.Recipe.DESCRIPTOR)) - apart
    assert {field for field, *_ in [*NUMBERS, *WORDS, *LISTS]} == fields


@pytest.mark.parametrize(
    ("face_size", "encoder", "decoder", "refused"),
    [
        (128, 5, 4, []),
        (128, 4, 3, []),
        (64, 5, 4, ["recipe.training.encoder_filters"]),
        (128, 5, 3, ["recipe.training.decoder_filters"]),
        (128, 6, 5, ["recipe.training.encoder_filters", "recipe.training.decoder_filters"]),
    ],
)
def test_layer_counts_fit_the_size_of_faces(face_size, encoder, decoder, refused):
    recipe = _with("training.face_size", face_size)
    recipe.training.encoder_filters[:] = [8] * encoder
    recipe.training.decoder_filters[:] = [8] * decoder
    if refused:
        assert set(_refusals(recipe)) == set(refused)
    else:
        assert recipes.resolve(recipe) == recipe


def test_all_wrong_fields_are_named_at_once():
    recipe = _with("conversion.blur", 65)
    recipe.training.batch_size = 0
    recipe.extraction.engine = "no engine"
    assert set(_refusals(recipe)) == {
        "recipe.conversion.blur",
        "recipe.training.batch_size",
        "recipe.extraction.engine",
    }


@pytest.mark.parametrize(
    ("levels", "field", "words"),
    [
        ([], "levels", "include the lossless one, raw"),
        ([("c23", "libx264", 23, "yuv444p")], "levels", "include the lossless one, raw"),
        ([("raw", "libx264rgb", 0, "gbrp")] * 2, "levels", "with different names"),
        ([("raw", "libx264rgb", 12, "gbrp")], "levels[0]", "lossless"),
        ([("raw", "libx264", 0, "yuv444p")], "levels[0]", "lossless"),
        ([("raw", "libx264rgb", 0, "gbrp"), ("x", "libx264", 9, "gbrp")], "levels[1]", "libx264rgb with gbrp"),
        ([("raw", "libx264rgb", 0, "yuv420p")], "levels[0]", "libx264rgb with gbrp"),
        (
            [("raw", "libx264rgb", 0, "gbrp"), *((f"c{n}", "libx264", n, "yuv444p") for n in range(8))],
            "levels",
            "at most",
        ),
    ],
)
def test_levels_that_do_not_fit_together_are_refused(levels, field, words):
    recipe = recipes.load()
    del recipe.compression.levels[:]
    for name, codec, crf, pixel_format in levels:
        recipe.compression.levels.add(name=name, codec=codec, crf=crf, pixel_format=pixel_format, preset="fast")
    request = recipe_pb2.Recipe(name="ffpp")
    request.CopyFrom(recipe)
    if levels:
        assert words in _refusals(request)[f"recipe.compression.{field}"]
    else:
        # No level in a request means the shipped ones.
        assert len(recipes.resolve(request).compression.levels) == 3


@pytest.mark.parametrize("field", ["name", "codec", "crf", "pixel_format", "preset"])
def test_a_level_without_a_field_that_it_must_have_is_refused(field):
    recipe = recipes.load()
    recipe.compression.levels[1].ClearField(field)
    refused = _refusals(recipe)[f"recipe.compression.levels[1].{field}"]
    assert refused.startswith("must be ") and refused.endswith("; got nothing")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("training.common_iterations", 1),
        ("training.start_from", "base:heads"),
        ("training.colours", "standardised"),
        ("training.shared_blocks", 1),
        ("training.dssim", 0.1),
        ("training.loss_weights", "face"),
        ("conversion.mouth", "target"),
        ("conversion.detail", 1),
        ("conversion.colours", "target"),
    ],
)
def test_the_faithful_recipe_does_what_ffpp_did(field, value):
    request = recipe_pb2.Recipe(name="ffpp")
    recipes.override(request, f"{field}={value}")
    assert "is faithful" in _refusals(request)[f"recipe.{field}"]
