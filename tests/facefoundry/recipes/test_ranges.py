"""Frame ranges: how they are written, which are refused, which frames they hold."""

from __future__ import annotations

import pytest

from facefoundry import recipes
from facefoundry.errors import InvalidInput
from facefoundry.recipes import ranges
from facefoundry.v1 import recipe_pb2


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10-50,80-90", [{"first": 10, "last": 50}, {"first": 80, "last": 90}]),
        ("10-50 80-90", [{"first": 10, "last": 50}, {"first": 80, "last": 90}]),
        (" 7-7 ,\t9-9", [{"first": 7, "last": 7}, {"first": 9, "last": 9}]),
        ("min-4,80-max", [{"last": 4}, {"first": 80}]),
    ],
)
def test_ranges_are_read_as_they_are_written(text, found):
    assert ranges.parse(text) == found
    request = recipe_pb2.Recipe(name="ffpp")
    recipes.override(request, f"conversion.frame_ranges={text}")
    assert recipes.options(request.conversion) == {"frame_ranges": found}


def test_ranges_may_be_given_as_messages_too():
    request = recipe_pb2.Recipe(name="ffpp")
    recipes.override(request, "conversion.frame_ranges=[{first: 3, last: 5}, {first: 9}]")
    assert recipes.options(request.conversion) == {"frame_ranges": [{"first": 3, "last": 5}, {"first": 9}]}


@pytest.mark.parametrize("text", ["", "10", "10-", "-5", "5-x", "1-2;3-4", "1-2,,3-4", "1--2", "max-min", "1.5-2"])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(InvalidInput, match=r"frame_ranges.*such as 10-50,80-90") as caught:
        recipes.override(recipe_pb2.Recipe(), f"conversion.frame_ranges={text}")
    assert caught.value.reason == "RECIPE_FIELD"


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ("5-2", "[0]", "must not end before it begins; got 5-2"),
        ("0-3,9-8", "[1]", "must not end before it begins; got 9-8"),
        ("1-5,5-9", "[1]", "after the end of the previous range, 1-5; got 5-9"),
        ("8-9,1-2", "[1]", "after the end of the previous range, 8-9; got 1-2"),
        ("1-2,3-max,9-10", "[2]", "after the end of the previous range, 3-max; got 9-10"),
        ("1-2,min-4", "[1]", "after the end of the previous range, 1-2; got min-4"),
        (",".join(f"{2 * n}-{2 * n}" for n in range(1001)), "", "at most 1000 values; got 1001"),
    ],
)
def test_reversed_overlapping_and_unordered_ranges_are_refused_by_field(text, field, words):
    request = recipe_pb2.Recipe(name="ffpp")
    recipes.override(request, f"conversion.frame_ranges={text}")
    with pytest.raises(InvalidInput) as caught:
        recipes.resolve(request)
    assert [violation.field for violation in caught.value.violations] == [f"recipe.conversion.frame_ranges{field}"]
    assert words in caught.value.message


def test_discard_without_ranges_is_refused():
    request = recipe_pb2.Recipe(name="ffpp")
    recipes.override(request, "conversion.discard=true")
    with pytest.raises(InvalidInput) as caught:
        recipes.resolve(request)
    assert [violation.field for violation in caught.value.violations] == ["recipe.conversion.discard"]
    recipes.override(request, "conversion.frame_ranges=1-2")
    assert recipes.resolve(request).conversion.discard


@pytest.mark.parametrize(
    ("text", "frames"),
    [("0-2", [0, 1, 2]), ("2-2,5-max", [2, 5, 6]), ("min-max", list(range(7))), ("6-6", [6]), ("min-0", [0])],
)
def test_ranges_hold_both_their_ends(text, frames):
    found = ranges.parse(text)
    assert ranges.frame_numbers(found, 7) == frames
    assert not list(ranges.out_of_bounds(found, 7))
    assert bool(list(ranges.out_of_bounds(found, frames[-1]))) is not text.endswith("max")


def test_no_range_holds_all_frames():
    assert ranges.frame_numbers([], 3) == [0, 1, 2]
    assert ranges.frame_numbers([{}], 3) == [0, 1, 2]
