"""Options that several commands share, in groups. A command gets each group as one dataclass."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import click

from facefoundry import recipes
from facefoundry.dataset.reading import Reading
from facefoundry.errors import InvalidInput
from facefoundry.planning.recipe import base_of, resolved
from facefoundry.v1 import recipe_pb2

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = [
    "ConnectionOptions",
    "OutputOptions",
    "RecipeOptions",
    "connection_options",
    "gather",
    "layout_option",
    "local_dir_option",
    "output_options",
    "recipe_options",
]

F = TypeVar("F", bound=Callable[..., object])

layout_option = click.option(
    "--layout",
    help="Name of an installed layout: the folders of the results.  "
    "[default: that of the folder's earlier run, or ffpp]",
)
local_dir_option = click.option(
    "--local-dir",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="FACEFOUNDRY_LOCAL_DIR",
    help="Folder of the local object store.  [default: ~/.local/share/facefoundry]",
)


@dataclass(frozen=True)
class ConnectionOptions:
    """The options that locate the services: `--local` for this machine, or three addresses."""

    use_local: bool = False
    local_dir: Path | None = None
    extractor_address: str | None = None
    trainer_address: str | None = None
    converter_address: str | None = None

    @property
    def addresses(self) -> dict[str, str | None]:
        """The three addresses by their field names in `ChannelSettings`; None if not given."""
        names = ("extractor_address", "trainer_address", "converter_address")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class RecipeOptions:
    """The options that choose a recipe, override its fields, and choose the subjects of clips."""

    recipe_name: str
    iterations: int | None
    assignments: tuple[str, ...]
    subjects: tuple[str, ...] = ()

    def resolve(self) -> recipe_pb2.Recipe:
        """Return the complete recipe: the one that `--recipe` names, with all overrides.

        Without the path of a base, see `base`.

        Raises:
            InvalidInput: the name of the recipe, a field or a value is wrong, or there is no such base.
        """
        return resolved(self._request())

    @property
    def base(self) -> Path | None:
        """The path on this machine that `training.start_from` has; None if it has a URI, names a base or is not set.

        Raises:
            InvalidInput: a field is wrong, or there is nothing at the path (BASE_PATH).
        """
        return base_of(self._request(), Path())

    def _request(self) -> recipe_pb2.Recipe:
        request = recipe_pb2.Recipe(name=self.recipe_name)
        for assignment in self.assignments:
            recipes.override(request, assignment)
        if self.iterations is not None:
            request.training.iterations = self.iterations
        return request


@dataclass(frozen=True)
class OutputOptions:
    """Where results go and in which layout, how progress is printed, and how clips are read."""

    out: Path
    as_json: bool
    fps: tuple[str, ...]
    tolerate_damage: bool
    layout: str | None = None

    @property
    def reading(self) -> Reading:
        """How the clips are read.

        Raises:
            InvalidInput: `--fps` is not a number from 1 to 1000, or such a number for the id of a clip (FPS).
        """
        rates: dict[str, Fraction] = {}
        for text in self.fps:
            clip_id, _, rate = text.rpartition("=")
            rates[clip_id] = _frame_rate(rate)
        return Reading(rates.pop("", Fraction(25)), rates, self.tolerate_damage)


def _frame_rate(text: str) -> Fraction:
    try:
        rate = Fraction(text).limit_denominator(1001)
    except (ValueError, ZeroDivisionError) as error:
        message = f"--fps must be a number such as 25 or 30000/1001, or CLIP=25 for one clip. Received {text!r}."
        raise InvalidInput(message, reason="FPS") from error
    if not 1 <= rate <= 1000:
        raise InvalidInput(f"--fps must be from 1 to 1000. Received {text!r}.", reason="FPS")
    return rate


def connection_options(function: F) -> F:
    """Add `--local` and the three addresses to a command, which gets them as the argument `connection`."""
    function = gather(ConnectionOptions, "connection", function)
    for option in (
        click.option("--converter", "converter_address", metavar="HOST:PORT", help="Address of the converter."),
        click.option("--trainer", "trainer_address", metavar="HOST:PORT", help="Address of the trainer."),
        click.option("--extractor", "extractor_address", metavar="HOST:PORT", help="Address of the extractor."),
        local_dir_option,
        click.option(
            "--local",
            "use_local",
            is_flag=True,
            help="Use services on this machine. Commands that process clips start them.",
        ),
    ):
        function = option(function)
    return function


def recipe_options(function: F) -> F:
    """Add `--recipe`, `--set`, `--subject` and `-it` to a command, which gets them as the argument `recipe`."""
    function = gather(RecipeOptions, "recipe", function)
    for option in (
        click.option(
            "--set",
            "assignments",
            multiple=True,
            metavar="FIELD=VALUE",
            help="Override a field of the recipe, such as training.batch_size=32. May be repeated.",
        ),
        click.option(
            "--subject",
            "subjects",
            multiple=True,
            metavar="ID=WHO",
            help="The subject of a clip: largest, moving, centre, a point X,Y or X,Y@FRAME in the face, or a "
            "picture of the person. Other people are left alone. May be repeated.  [default: as extraction.subject]",
        ),
        click.option(
            "-it", "--iterations", type=click.IntRange(1), help="Training iterations.  [default: the recipe's]"
        ),
        click.option(
            "--recipe",
            "recipe_name",
            default=recipes.DEFAULT,
            show_default=True,
            help=f"Name of the recipe: {', '.join(recipes.names())}.",
        ),
    ):
        function = option(function)
    return function


def output_options(function: F) -> F:
    """Add options of the output, and of how clips are read. The command gets them as the argument `output`."""
    function = gather(OutputOptions, "output", function)
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object per event, without progress bars."),
        click.option(
            "--fps",
            multiple=True,
            metavar="[CLIP=]RATE",
            help="Frames per second of folders of frames, such as 25 or 30000/1001, or of one clip, such as 033=30, "
            "instead of its own. May be repeated.  [default: 25]",
        ),
        click.option(
            "--tolerate-damage",
            is_flag=True,
            help="Read damaged clips as far as possible. Damaged frames are labelled and not swapped.",
        ),
        layout_option,
        click.option(
            "-o",
            "--output_path",
            "--output",
            "out",
            type=click.Path(path_type=Path, file_okay=False),
            default="output",
            show_default=True,
            help="Folder of the results.",
        ),
    ):
        function = option(function)
    return function


def gather(kind: type[DataclassInstance], argument: str, function: F) -> F:
    """Wrap a command so that options which are fields of a dataclass reach it as one argument of that name."""
    names = [field.name for field in fields(kind)]

    @functools.wraps(function)
    def command(**values: object) -> object:
        group = kind(**{name: values.pop(name) for name in names})
        return function(**values, **{argument: group})

    return cast(F, command)
