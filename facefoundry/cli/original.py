"""Spellings of the original's options: those of its converter, and those that are refused with the reason."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from facefoundry.errors import InvalidInput
from facefoundry.recipes import ranges, refused
from facefoundry.recipes.limits import RULES
from facefoundry.recipes.refused import Refused

__all__ = ["conversion_options", "refused_options"]

F = TypeVar("F", bound=Callable[..., Any])

# Option, by the name of its conversion field.
_OPTIONS: dict[str, Callable[[F], F]] = {
    "mask": click.option(
        "-M",
        "--mask-type",
        "--mask",
        "mask",
        metavar="KIND",
        help=f"Region that is blended, {RULES['conversion.mask'].allowed}.  [default: the recipe's]",
    ),
    "erosion": click.option(
        "-e",
        "--erosion-kernel-size",
        "--erosion",
        "erosion",
        type=int,
        help="Pixels to take from the mask's edge; negative adds.  [default: the recipe's]",
    ),
    "blur": click.option(
        "-b",
        "--blur-size",
        "--blur",
        "blur",
        type=int,
        help="Side of the mask's box blur, pixels.  [default: the recipe's]",
    ),
    "seamless": click.option(
        "-S/ ",
        "--seamless/--no-seamless",
        "seamless",
        default=None,
        help="Poisson blending, or alpha blending.  [default: the recipe's]",
    ),
    "frame_ranges": click.option(
        "-fr",
        "--frame-ranges",
        "frame_ranges",
        multiple=True,
        metavar="FIRST-LAST",
        help="Swap these frames only, counted from 0, such as 10-50,80-max; the others stay the target's.",
    ),
    "discard": click.option(
        "-d",
        "--discard-frames",
        "--discard",
        "discard",
        is_flag=True,
        default=None,
        help="Leave frames outside the ranges out instead.",
    ),
}


def conversion_options(function: F) -> F:
    """The options of the original's converter, as overrides before those of `--set`; goes above `recipe_options`."""

    @functools.wraps(function)
    def with_overrides(*, more_ranges: tuple[str, ...], assignments: tuple[str, ...], **given: Any) -> Any:
        values = {name: given.pop(name) for name in _OPTIONS}
        # As in the original, blanks part ranges too: -fr 10-50 80-90.
        written = " ".join([*values.pop("frame_ranges"), *more_ranges])
        if more_ranges and written == " ".join(more_ranges):
            raise click.UsageError(f"Got unexpected extra arguments ({written})")
        own = [f"conversion.{name}={json.dumps(value)}" for name, value in values.items() if value is not None]
        if written:
            own.append(f"{ranges.FIELD}={written}")
        return function(assignments=(*own, *assignments), **given)

    decorated: Any = click.argument("more_ranges", nargs=-1, metavar="")(with_overrides)
    for option in reversed(_OPTIONS.values()):
        decorated = option(decorated)
    result: F = decorated
    return result


def refused_options(command: str) -> Callable[[F], F]:
    """What a command of the original took and this one refuses by name; hidden from its help."""

    def decorate(function: F) -> F:
        for row in refused.for_command(command):
            function = _refused(row)(function)
        return function

    return decorate


def _refused(row: Refused) -> Callable[[F], F]:
    def refuse(_: click.Context, __: click.Parameter, value: str | None) -> None:
        if value is not None:
            raise InvalidInput(row.sentence(), reason="OPTION_REFUSED")

    # Eager, and its value may be left out: what is missing or too much beside it is not what matters.
    return click.option(
        *row.spellings, row.spellings[0].strip("-") + "_refused", is_flag=False, flag_value="", expose_value=False,
        hidden=True, is_eager=True, callback=refuse,
    )  # fmt: skip
