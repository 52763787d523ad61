"""Options that several commands share, and what they mean together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import click

from facefoundry import recipes
from facefoundry.client import Client
from facefoundry.dataset.run import Limits
from facefoundry.errors import InvalidInput
from facefoundry.local import User, local_stack
from facefoundry.settings import ChannelSettings, StoreSettings, read
from facefoundry.storage.store import Store
from facefoundry.v1 import recipe_pb2

__all__ = [
    "Connection",
    "connect",
    "connection_options",
    "frame_rate_of",
    "output_options",
    "recipe_of",
    "recipe_options",
    "running_services",
]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Connection:
    """The services and the store they use."""

    client: Client
    store: Store
    limits: Limits


def connection_options(function: F) -> F:
    """`--local` or the three addresses."""
    for option in (
        click.option("--converter", "converter_address", metavar="HOST:PORT", help="Address of the converter."),
        click.option("--trainer", "trainer_address", metavar="HOST:PORT", help="Address of the trainer."),
        click.option("--extractor", "extractor_address", metavar="HOST:PORT", help="Address of the extractor."),
        click.option(
            "--local-dir",
            type=click.Path(path_type=Path, file_okay=False),
            envvar="FACEFOUNDRY_LOCAL_DIR",
            help="Where --local keeps its object store.  [default: ~/.local/share/facefoundry]",
        ),
        click.option(
            "--local", "use_local", is_flag=True, help="Run store and services on this machine for this command."
        ),
    ):
        function = option(function)
    return function


def recipe_options(function: F) -> F:
    """`--recipe`, `--set` and the original's `-it`."""
    for option in (
        click.option(
            "--set",
            "assignments",
            multiple=True,
            metavar="FIELD=VALUE",
            help="Override a recipe field, such as training.batch_size=32; may be repeated.",
        ),
        click.option(
            "-it", "--iterations", type=click.IntRange(1), help="Training iterations; default is the recipe's."
        ),
        click.option(
            "--recipe",
            "recipe_name",
            default=recipes.DEFAULT,
            show_default=True,
            help=f"One of {', '.join(recipes.names())}.",
        ),
    ):
        function = option(function)
    return function


def output_options(function: F) -> F:
    """`--json` and `--fps`."""
    for option in (
        click.option(
            "--json", "as_json", is_flag=True, help="Print one JSON object per event instead of progress bars."
        ),
        click.option(
            "--fps", default="25", show_default=True, help="Frames per second of folders of frames; 30000/1001 works."
        ),
    ):
        function = option(function)
    return function


def recipe_of(name: str, iterations: int | None, assignments: tuple[str, ...]) -> recipe_pb2.Recipe:
    """The resolved recipe of the command line."""
    request = recipe_pb2.Recipe(name=name)
    for assignment in assignments:
        recipes.override(request, assignment)
    if iterations is not None:
        request.training.iterations = iterations
    return recipes.resolve(request)


def frame_rate_of(text: str) -> Fraction:
    """Frames per second from text.

    Raises:
        InvalidInput: it is no number from 1 to 1000.
    """
    try:
        rate = Fraction(text).limit_denominator(1001)
    except (ValueError, ZeroDivisionError) as error:
        raise InvalidInput(
            f"--fps must be a number such as 25 or 30000/1001. Received {text!r}.", reason="FPS"
        ) from error
    if not 1 <= rate <= 1000:
        raise InvalidInput(f"--fps must be from 1 to 1000. Received {text!r}.", reason="FPS")
    return rate


def waiting(say: Callable[[str], None]) -> Callable[[list[User]], None]:
    """Tells who keeps the local stack from stopping."""
    return lambda users: say(f"Waiting for processes {', '.join(str(user.pid) for user in users)}; Ctrl-C stops.")


@contextmanager
def running_services(
    use_local: bool, local_dir: Path | None, addresses: Mapping[str, str | None]
) -> Iterator[ChannelSettings]:
    """Where the services are; with `--local` they must run already."""
    if not use_local:
        yield read(ChannelSettings, **addresses)
        return
    with local_stack(local_dir, start=False) as stack:
        yield stack.channels


@contextmanager
def connect(
    use_local: bool,
    local_dir: Path | None,
    say: Callable[[str], None],
    **addresses: str | None,
) -> Iterator[Connection]:
    """Open the connection that the options describe; `--local` starts and stops everything around the block."""
    if use_local:
        if any(addresses.values()):
            raise InvalidInput("--local runs its own services: leave out their addresses.", reason="USAGE")
        cores = os.cpu_count() or 1
        limits = Limits(pairs=max(2, cores), extractions=cores, conversions=cores)
        slots = {"FACEFOUNDRY_SLOTS": str(cores)}
        with (
            local_stack(local_dir, environment=slots, on_progress=say, on_wait=waiting(say)) as stack,
            Client(stack.channels) as client,
        ):
            store = Store(stack.store).with_retries_for(stack.store.retry_seconds, on_wait=say)
            yield Connection(client, store, limits)
        return
    with Client(read(ChannelSettings, **addresses)) as client:
        settings = read(StoreSettings)
        store = Store(settings).with_retries_for(settings.retry_seconds, on_wait=say)
        yield Connection(client, store, Limits())
