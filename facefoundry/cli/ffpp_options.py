"""Options of FF++'s script: those of its converter, and those that are refused with a reason."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import TypeVar, cast

import click

from facefoundry import constraints
from facefoundry.errors import InvalidInput
from facefoundry.recipes import ranges, refused
from facefoundry.recipes.refused import Refused
from facefoundry.v1 import recipe_pb2

__all__ = ["conversion_options", "refused_options"]

F = TypeVar("F", bound=Callable[..., object])

_MASKS = constraints.allowed(recipe_pb2.ConversionOptions.DESCRIPTOR.fields_by_name["mask"])

# The option for each field of the recipe's conversion.
_OPTIONS: dict[str, Callable[[Callable[..., object]], Callable[..., object]]] = {
    "mask": click.option(
        "-M",
        "--mask-type",
        "--mask",
        "mask",
        metavar="KIND",
        help=f"Region to blend, {_MASKS}.  [default: the recipe's]",
    ),
    "erosion": click.option(
        "-e",
        "--erosion-kernel-size",
        "--erosion",
        "erosion",
        type=int,
        help="Pixels to remove from the edge of the mask; negative values add pixels.  [default: the recipe's]",
    ),
    "blur": click.option(
        "-b",
        "--blur-size",
        "--blur",
        "blur",
        type=int,
        help="Size of the box blur of the mask, pixels.  [default: the recipe's]",
    ),
    "seamless": click.option(
        "-S/ ",
        "--seamless/--no-seamless",
        "seamless",
        default=None,
        help="Blend by Poisson blending, or by alpha blending.  [default: the recipe's]",
    ),
    "frame_ranges": click.option(
        "-fr",
        "--frame-ranges",
        "frame_ranges",
        multiple=True,
        metavar="FIRST-LAST",
        help="Swap only these frames, such as 10-50,80-max; the first frame is 0. The other frames are not changed.",
    ),
    "discard": click.option(
        "-d",
        "--discard-frames",
        "--discard",
        "discard",
        is_flag=True,
        default=None,
        help="With --frame-ranges, leave the other frames out of the fake.",
    ),
}


def conversion_options(function: F) -> F:
    """Add the options of FF++'s converter to a command. They override recipe fields, and `--set` overrides them.

    Place this decorator above `recipe_options`: it adds values to the argument `assignments`, which `recipe_options`
    makes.
    """

    @functools.wraps(function)
    def with_overrides(*, more_ranges: tuple[str, ...], assignments: tuple[str, ...], **given: object) -> object:
        values = {name: given.pop(name) for name in _OPTIONS}
        # FF++ also separates ranges by spaces: -fr 10-50 80-90.
        written = " ".join([*cast(tuple[str, ...], values.pop("frame_ranges")), *more_ranges])
        if more_ranges and written == " ".join(more_ranges):
            raise click.UsageError(f"Got unexpected extra arguments ({written})")
        own = [f"conversion.{name}={json.dumps(value)}" for name, value in values.items() if value is not None]
        if written:
            own.append(f"{ranges.FIELD}={written}")
        return function(assignments=(*own, *assignments), **given)

    decorated: Callable[..., object] = click.argument("more_ranges", nargs=-1, metavar="")(with_overrides)
    for option in reversed(_OPTIONS.values()):
        decorated = option(decorated)
    return cast(F, decorated)


def refused_options(command: str) -> Callable[[F], F]:
    """Add the options of FF++'s script that a command refuses. They are hidden from the help."""

    def decorate(function: F) -> F:
        for row in refused.for_command(command):
            function = _refused(row)(function)
        return function

    return decorate


def _refused(row: Refused) -> Callable[[F], F]:
    def refuse(_: click.Context, __: click.Parameter, value: str | None) -> None:
        if value is not None:
            raise InvalidInput(row.sentence(), reason="OPTION_REFUSED")

    # Eager and with an optional value, so that this error comes before those about other options.
    return click.option(
        *row.spellings, row.spellings[0].strip("-") + "_refused", is_flag=False, flag_value="", expose_value=False,
        hidden=True, is_eager=True, callback=refuse,
    )  # fmt: skip
