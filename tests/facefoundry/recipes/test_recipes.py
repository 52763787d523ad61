"""Recipes: shipped values, overrides, ranges."""

import subprocess
import sys

import pytest

from facefoundry import recipes
from facefoundry.errors import InvalidInput
from facefoundry.recipes import limits
from facefoundry.v1 import recipe_pb2


def _fields(message, prefix=""):
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.message_type is not None and not field.is_repeated:
            yield from _fields(value, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, message.HasField(field.name) if field.has_presence else bool(value)


@pytest.mark.parametrize("name", recipes.names())
def test_a_shipped_recipe_sets_every_field(name):
    unset = [field for field, is_set in _fields(recipes.load(name)) if not is_set]
    assert unset == ["conversion.frame_ranges"], "no range is all frames"


@pytest.mark.parametrize("name", recipes.names())
def test_a_shipped_recipe_keeps_to_the_limits(name):
    assert list(limits.violations(recipes.load(name))) == []


def test_a_recipe_without_overrides_is_resolved_without_the_library_that_checks():
    code = (
        "import sys\nfrom facefoundry import recipes\nfrom facefoundry.v1 import recipe_pb2\n"
        "request = recipe_pb2.Recipe(name='ffpp')\nrecipes.resolve(request)\nprint('protovalidate' in sys.modules)\n"
        "recipes.override(request, 'training.iterations=10')\nrecipes.resolve(request)\n"
        "print('protovalidate' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_ffpp_has_the_numbers_of_ffpp():
    extraction, training = recipes.load("ffpp").extraction, recipes.load("ffpp").training
    assert (extraction.crop_size, extraction.padding, extraction.integer_landmarks) == (256, 48, True)
    assert list(training.encoder_filters) == [128, 256, 512, 1024]
    assert (training.iterations, training.batch_size) == (200_000, 64)
    assert (training.learning_rate, training.beta1, training.beta2, training.epsilon) == (5e-5, 0.5, 0.999, 1e-7)
    assert [(level.name, level.crf) for level in recipes.load("ffpp").compression.levels] == [
        ("raw", 0),
        ("c23", 23),
        ("c40", 40),
    ]


def test_ffpp_has_the_augmentation_and_the_mask_of_ffpp():
    training, conversion = recipes.load("ffpp").training, recipes.load("ffpp").conversion
    assert (training.rotation_degrees, training.zoom, training.shift) == (10, 0.05, 0.05)
    assert (training.flip_probability, training.warp_sigma, training.face_size) == (0.4, 5, 64)
    assert (conversion.mask, conversion.erosion, conversion.blur) == ("facehullandrect", 0, 2)
    assert (conversion.seamless, conversion.clone) == (True, "opencv-3.4.1")


def test_ffpp_tracks_the_faces_that_dlib_detects_in_every_twelfth_frame():
    extraction = recipes.load("ffpp").extraction
    assert (extraction.engine, extraction.detect_every) == ("dlib", 12)


def test_levels_may_leave_later_fields_out():
    request = recipe_pb2.Recipe(name="ffpp")
    recipes.override(
        request,
        "compression.levels=[{name: raw, codec: libx264rgb, crf: 0, pixel_format: gbrp, preset: faster},"
        "{name: c30, codec: libx264, crf: 30, pixel_format: yuv444p, preset: medium},"
        "{name: fast, codec: libx264rgb, crf: 0, pixel_format: gbrp, preset: faster, coder: cabac,"
        "keyframe_interval: 1, tagged: true}]",
    )
    levels = recipes.resolve(request).compression.levels
    found = [(level.coder, level.keyframe_interval, level.tagged) for level in levels]
    assert found == [("cavlc", 250, False), ("cabac", 250, False), ("cabac", 1, True)]
    assert all(level.HasField("tagged") for level in levels)


def test_preview_says_that_it_is_not_faithful():
    assert "Not faithful" in recipes.load("preview").description


def test_an_override_replaces_a_list_and_keeps_the_rest():
    request = recipe_pb2.Recipe(name="preview")
    recipes.override(request, "training.encoder_filters=[1, 2, 3, 4]")
    resolved = recipes.resolve(request)
    assert list(resolved.training.encoder_filters) == [1, 2, 3, 4]
    assert resolved.training.batch_size == recipes.load("preview").training.batch_size


def test_resolving_twice_changes_nothing():
    once = recipes.resolve(recipe_pb2.Recipe(name="preview"))
    assert recipes.resolve(once) == once


def test_changing_a_loaded_recipe_does_not_change_the_next():
    recipes.load("ffpp").training.batch_size = 1
    assert recipes.load("ffpp").training.batch_size == 64


@pytest.mark.parametrize(
    "assignment", ["training.nothing=3", "training.iterations=1.5", "training", "training.batch_size=many", "x=[", "=3"]
)
def test_a_wrong_override_is_refused(assignment):
    with pytest.raises(InvalidInput, match="The recipe is invalid"):
        recipes.override(recipe_pb2.Recipe(), assignment)


@pytest.mark.parametrize(
    ("assignment", "field"),
    [
        ("training.iterations=0", "recipe.training.iterations"),
        ("training.iterations=-1", "recipe.training.iterations"),
        ("training.learning_rate=2", "recipe.training.learning_rate"),
        ("training.encoder_filters=[1, 2]", "recipe.training.encoder_filters"),
        ("training.precision=int8", "recipe.training.precision"),
        ("extraction.engine=no engine", "recipe.extraction.engine"),
        ("extraction.padding=128", "recipe.extraction.padding"),
        ("conversion.mask=circle", "recipe.conversion.mask"),
        (
            "compression.levels=[{name: c23, codec: libx264, crf: 99, pixel_format: yuv444p, preset: medium}]",
            "levels[0].crf",
        ),
    ],
)
def test_a_value_out_of_range_is_refused_by_field(assignment, field):
    request = recipe_pb2.Recipe(name="ffpp")
    recipes.override(request, assignment)
    with pytest.raises(InvalidInput) as caught:
        recipes.resolve(request)
    assert any(field in violation.field for violation in caught.value.violations)


@pytest.mark.parametrize("request_", [recipe_pb2.Recipe(), recipe_pb2.Recipe(name="", version="2")])
def test_a_recipe_without_a_name_is_refused_with_the_shipped_ones(request_):
    with pytest.raises(InvalidInput, match="name is required: set it to one of ffpp, preview") as caught:
        recipes.resolve(request_)
    assert (caught.value.reason, caught.value.violations[0].field) == ("RECIPE_MISSING", "recipe.name")


def test_an_unknown_recipe_is_refused_with_the_known_ones():
    with pytest.raises(InvalidInput, match=", ".join(recipes.names())):
        recipes.resolve(recipe_pb2.Recipe(name="nothing"))


def test_another_version_is_refused():
    with pytest.raises(InvalidInput, match="must be 2, the version of ffpp"):
        recipes.resolve(recipe_pb2.Recipe(name="ffpp", version="0"))


@pytest.mark.parametrize("name", recipes.names())
def test_a_request_without_the_fields_that_imply_their_values_is_the_same_recipe(name):
    recipe = recipes.load(name)
    request = recipes.portable(recipe)
    assert recipes.resolve(request) == recipe
    for field in ("face_size", "common_iterations", "start_from", "start_decoder"):
        assert not request.training.HasField(field), field
    assert not any(level.HasField("coder") for level in request.compression.levels)


def test_a_request_keeps_a_value_that_the_shipped_recipe_does_not_have():
    """`preview` composes its augmentation, so a request without the field would get another one."""
    recipe = recipes.load("preview")
    recipe.training.augmentation = "two_stages"
    recipe.training.common_iterations = 5
    request = recipes.portable(recipe)
    assert (request.training.augmentation, request.training.common_iterations) == ("two_stages", 5)
    assert recipes.resolve(request) == recipe


def test_options_are_the_set_fields_only():
    assert recipes.options(recipe_pb2.TrainingOptions(batch_size=3)) == {"batch_size": 3}
