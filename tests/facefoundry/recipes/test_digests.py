"""Digests keep their names whatever the proto's fields are called."""

import pytest

from facefoundry import recipes
from facefoundry.recipes.digests import DIGEST_NAMES, digest_values
from facefoundry.storage import keys
from facefoundry.v1 import recipe_pb2

MESSAGES = recipe_pb2.DESCRIPTOR.message_types_by_name


def test_the_table_names_every_field_of_its_messages_once():
    for kind, names in DIGEST_NAMES.items():
        assert list(names) == list(MESSAGES[kind].fields_by_name)
        assert len(set(names.values())) == len(names)


def test_the_shipped_recipes_keep_their_digests():
    digests = {
        name: [
            keys.digest_of(digest_values(message))
            for message in (recipe.extraction, recipe.training, recipe.conversion, *recipe.compression.levels)
        ]
        for name in recipes.names()
        for recipe in [recipes.load(name)]
    }
    assert digests == PINNED


def test_face_size_is_in_a_digest_unless_it_is_64():
    assert digest_values(recipe_pb2.TrainingOptions(face_size=128)) == {"face_size": 128}
    assert digest_values(recipe_pb2.TrainingOptions(face_size=64, seed=1)) == {"seed": "1"}


def test_a_recipe_of_the_values_that_preview_had_keeps_its_digest_whatever_fields_were_added():
    assert keys.digest_of(digest_values(_earlier_preview())) == "d18eb4dcc6a936d6f85121205020f4089d7bd258"


def test_a_restart_is_in_a_digest_unless_the_recipe_allows_none():
    without = _earlier_preview()
    without.retry_learning_rate_factor = 0
    assert keys.digest_of(digest_values(without)) == "63319dc2fb3c317f73d981ca64ca8aa3fc3280c5"
    assert digest_values(recipe_pb2.TrainingOptions(retry_learning_rate_factor=0.1)) == {
        "retry_learning_rate_factor": 0.1
    }


def test_the_augmentation_is_in_a_digest_unless_it_has_two_stages():
    assert digest_values(recipe_pb2.TrainingOptions(augmentation="composed")) == {"augmentation": "composed"}
    assert digest_values(recipe_pb2.TrainingOptions(augmentation="two_stages")) == {}


def test_how_a_training_starts_is_in_a_digest_unless_it_is_as_ffpp_did():
    started = recipe_pb2.TrainingOptions(common_iterations=5, start_from="base:heads", start_decoder="b")
    assert digest_values(started) == {"common_iterations": 5, "start_from": "base:heads", "start_decoder": "b"}
    assert digest_values(recipe_pb2.TrainingOptions(common_iterations=0, start_from="", start_decoder="a")) == {}


def test_colours_shared_blocks_and_dssim_are_in_a_digest_unless_they_are_those_of_ffpp():
    assert digest_values(recipe_pb2.TrainingOptions(colours="standardised", shared_blocks=1, dssim=0.2)) == {
        "colours": "standardised",
        "shared_blocks": 1,
        "dssim": 0.2,
    }
    assert digest_values(recipe_pb2.TrainingOptions(colours="kept", shared_blocks=0, dssim=0)) == {}


def test_loss_weights_and_what_a_fake_takes_from_its_target_are_in_a_digest_unless_they_are_those_of_ffpp():
    assert digest_values(recipe_pb2.TrainingOptions(loss_weights="face")) == {"loss_weights": "face"}
    assert digest_values(recipe_pb2.TrainingOptions(loss_weights="even")) == {}
    finished = recipe_pb2.ConversionOptions(mouth="target", detail=0.5, colours="target")
    assert digest_values(finished) == {"mouth": "target", "detail": 0.5, "colours": "target"}
    as_made = recipe_pb2.ConversionOptions(mouth="source", detail=0, colours="source")
    assert digest_values(as_made) == {}


@pytest.mark.parametrize("change", [{"coder": "cabac"}, {"keyframe_interval": 10}, {"tagged": True}])
def test_the_digest_of_a_level_changes_with_every_field_that_is_not_as_before(change):
    request = recipe_pb2.Recipe(name="ffpp")
    recipes.override(
        request, "compression.levels=[{name: raw, codec: libx264rgb, crf: 0, pixel_format: gbrp, preset: faster}]"
    )
    (raw,) = recipes.resolve(request).compression.levels
    assert keys.digest_of(digest_values(raw)) == PINNED["ffpp"][3]
    raw.MergeFrom(recipe_pb2.Level(**change))
    assert digest_values(raw).items() >= change.items()
    assert keys.digest_of(digest_values(raw)) != PINNED["ffpp"][3]


def test_nested_messages_are_renamed_too():
    conversion = recipe_pb2.ConversionOptions(frame_ranges=[recipe_pb2.FrameRange(first=3)], mask="rect")
    assert digest_values(conversion) == {"mask": "rect", "frame_ranges": [{"first": 3}]}


def _earlier_preview():
    """The training options that `preview` had before the fields `colours`, `shared_blocks` and `dssim`."""
    options = recipes.load("ffpp").training
    options.encoder_filters[:], options.decoder_filters[:] = [8, 16, 32, 64], [16, 8, 4]
    options.bottleneck, options.upscale_filters = 64, 32
    options.iterations, options.batch_size, options.learning_rate = 3000, 32, 1e-3
    options.retry_learning_rate_factor, options.augmentation = 0.1, "composed"
    return options


PINNED = {
    "ffpp": [
        "1701ed0d902a267890af8bcd82f39aae5c4f8809",
        "4a62d62f37b772c76074461f917e5c09f7c2e51e",
        "330e873c732157b9233af42b5cee7d6a0143f142",
        "a8ef081cb8f3d7e6660c3e899208eafd2877f974",
        "2165a6b2291e0c0fa81f17a6a04320976b14083e",
        "827713eb12a7d01fc29819605adbc4074830f910",
    ],
    "preview": [
        "31a038aa7a93ff31ecfb9d48499ea9f1e61c550b",
        "f4e207e1757f143026d4d10aadefd8d3f2e7b41b",
        "a3a5dfb6737429cf35dd5a2eb82390b0a362725b",
        "a8ef081cb8f3d7e6660c3e899208eafd2877f974",
        "2165a6b2291e0c0fa81f17a6a04320976b14083e",
        "827713eb12a7d01fc29819605adbc4074830f910",
    ],
}
