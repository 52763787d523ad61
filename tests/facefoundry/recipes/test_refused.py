"""Names that recipes do not have: options of FF++ are refused with the reason, the rest with a proposal."""

from __future__ import annotations

import pytest

from facefoundry import recipes
from facefoundry.errors import InvalidInput
from facefoundry.recipes.refused import REFUSED, for_command, for_field
from facefoundry.v1 import recipe_pb2


def _refusal(assignment):
    with pytest.raises(InvalidInput) as caught:
        recipes.override(recipe_pb2.Recipe(), assignment)
    return caught.value


@pytest.mark.parametrize("row", [row for row in REFUSED if row.fields], ids=lambda row: row.spellings[0])
def test_an_option_of_ffpp_is_refused_as_a_field_with_the_reason(row):
    for name in row.fields:
        if name == "batch_size":  # of training, where faceswap had it, it is a field
            continue
        refusal = _refusal(f"conversion.{name}=1")
        assert refusal.reason == "OPTION_REFUSED"
        assert [violation.field for violation in refusal.violations] == [f"recipe.conversion.{name}"]
        refused = for_field(name)
        assert refused is not None and refused.why in refusal.message and refused.instead in refusal.message


def test_a_refused_option_is_known_in_every_stage_and_spelling():
    for path in (
        "training.perceptual_loss",
        "conversion.perceptual-loss",
        "perceptual_loss",
        "training.Perceptual_Loss",
    ):
        assert _refusal(f"{path}=true").reason == "OPTION_REFUSED"
    assert _refusal("conversion={sharpen: gsharpen}").reason == "OPTION_REFUSED"


@pytest.mark.parametrize(
    ("assignment", "proposal"),
    [
        ("conversion.blurr=2", "did you mean conversion.blur"),
        ("training.blur=2", "did you mean conversion.blur"),
        ("conversion.blur_size=2", "did you mean conversion.blur"),
        ("conversion.erosion_kernel_size=2", "did you mean conversion.erosion"),
        ("conversion.mask_type=rect", "did you mean conversion.mask"),
        ("batchsize=2", "did you mean training.batch_size or conversion.batch_size"),
        ("training={learning_rat: 2}", "did you mean training.learning_rate"),
        ("compression.levels=[{name: raw, cfr: 3}]", "did you mean compression.levels.crf"),
        ("conversion.frame_ranges=[{frist: 1}]", "did you mean conversion.frame_ranges.first"),
        ("training.nothing=3", "fields look like training.iterations"),
    ],
)
def test_an_unknown_field_is_refused_with_a_near_name(assignment, proposal):
    refusal = _refusal(assignment)
    assert refusal.reason == "RECIPE_FIELD"
    assert f"is not a field of a recipe; {proposal}" in refusal.message


def test_no_name_of_a_recipe_field_is_refused():
    taken = [
        name
        for stage in recipe_pb2.Recipe.DESCRIPTOR.fields
        if stage.message_type
        for name in stage.message_type.fields_by_name
    ]
    assert [name for name in taken if for_field(name) and name != "batch_size"] == []
    for assignment in ("training.batch_size=3", "conversion.batch_size=3"):
        recipes.override(recipe_pb2.Recipe(), assignment)


def test_a_command_refuses_no_spelling_twice():
    for command in ("generate-models", "create-from-models", "extract-faces", "train", "convert"):
        spellings = [spelling for row in for_command(command) for spelling in row.spellings]
        assert len(set(spellings)) == len(spellings)
