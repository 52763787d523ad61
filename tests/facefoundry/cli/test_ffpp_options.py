"""FF++'s spellings of options: accepted, or rejected with the reason."""

from __future__ import annotations

import json
import warnings

import click
import pytest
from click.testing import CliRunner

from facefoundry import recipes
from facefoundry.cli import ffpp
from facefoundry.cli.ffpp_options import conversion_options
from facefoundry.cli.main import cli, main
from facefoundry.cli.options import RecipeOptions, recipe_options
from facefoundry.errors import InvalidInput
from facefoundry.recipes.refused import COMMANDS, for_command


@click.command()
@conversion_options
@recipe_options
def resolved(recipe: RecipeOptions):
    """Print what differs from the shipped recipe."""
    conversion = recipes.options(recipe.resolve().conversion)
    shipped = recipes.options(recipes.load(recipe.recipe_name).conversion)
    click.echo(json.dumps({name: value for name, value in conversion.items() if shipped.get(name) != value}))


RANGES = [{"first": 10, "last": 50}, {"first": 80}]


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("", {}),
        ("-M rect", {"mask": "rect"}),
        ("--mask-type facehull", {"mask": "facehull"}),
        ("--mask facehull", {"mask": "facehull"}),
        ("-e 5", {"erosion": 5}),
        ("-e -5", {"erosion": -5}),
        ("--erosion-kernel-size -5", {"erosion": -5}),
        ("--erosion=-5", {"erosion": -5}),
        ("-b 7", {"blur": 7}),
        ("--blur-size 0", {"blur": 0}),
        ("--blur 0", {"blur": 0}),
        ("-S", {}),
        ("--no-seamless", {"seamless": False}),
        ("--no-seamless -S", {}),
        ("-fr 10-50 80-max", {"frame_ranges": RANGES}),
        ("-fr 10-50,80-max", {"frame_ranges": RANGES}),
        ("-fr 10-50 -fr 80-max", {"frame_ranges": RANGES}),
        ("--frame-ranges 10-50 80-max -b 3", {"frame_ranges": RANGES, "blur": 3}),
        ("-fr 10-50,80-max -d", {"frame_ranges": RANGES, "discard": True}),
        ("-fr 10-50,80-max --discard-frames", {"frame_ranges": RANGES, "discard": True}),
        ("-fr 10-50,80-max --discard", {"frame_ranges": RANGES, "discard": True}),
        ("-b 7 --set conversion.blur=9", {"blur": 9}),
        ("-M rect -e -3 -b 4 --no-seamless", {"mask": "rect", "erosion": -3, "blur": 4, "seamless": False}),
    ],
)
def test_the_converters_options_are_recipe_fields(words, changed):
    shown = CliRunner().invoke(resolved, words.split(), catch_exceptions=False)
    assert (shown.exit_code, json.loads(shown.stdout)) == (0, changed)


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ("-M circle", "recipe.conversion.mask"),
        ("-e 65", "recipe.conversion.erosion"),
        ("-b -1", "recipe.conversion.blur"),
        ("-fr 9-3", "recipe.conversion.frame_ranges[0]"),
        ("-fr nonsense", "recipe.conversion.frame_ranges"),
        ("-d", "recipe.conversion.discard"),
    ],
)
def test_a_wrong_value_is_refused_by_the_fields_name(words, field):
    with pytest.raises(InvalidInput) as caught:
        CliRunner().invoke(resolved, words.split(), catch_exceptions=False)
    assert [violation.field for violation in caught.value.violations] == [field]


def test_words_without_an_option_are_no_ranges():
    shown = CliRunner().invoke(resolved, ["10-50"])
    assert shown.exit_code == 2
    assert "unexpected extra arguments (10-50)" in shown.stderr


SPELLINGS = [(command, spelling) for command in COMMANDS for row in for_command(command) for spelling in row.spellings]


@pytest.mark.parametrize(("command", "spelling"), SPELLINGS)
@pytest.mark.parametrize("values", [[], ["value", "another"]])
def test_an_option_that_is_not_here_is_refused_by_name_whatever_else_is_missing(command, spelling, values, capsys):
    with pytest.raises(SystemExit) as caught:
        main([command, spelling, *values])
    assert caught.value.code == 2
    (row,) = [row for row in for_command(command) if spelling in row.spellings]
    assert capsys.readouterr().err == f"Error: {row.sentence()} [OPTION_REFUSED]\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_no_refused_spelling_hides_one_that_is_taken(name):
    command = getattr(ffpp, name.replace("-", "_"))
    taken = [spelling for option in command.params for spelling in (*option.opts, *option.secondary_opts)]
    assert len(set(taken)) == len(taken)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown = CliRunner().invoke(cli, [name, "--help"], catch_exceptions=False)
    words = shown.stdout.replace(",", " ").split()
    assert not [spelling for row in for_command(name) for spelling in row.spellings if spelling in words]


@pytest.mark.parametrize("spelling", ["-M", "-e", "-b", "-S", "-fr", "-d", "-s"])
def test_convert_has_the_spellings_of_ffpp(spelling):
    assert any(spelling in option.opts for option in ffpp.convert.params)
