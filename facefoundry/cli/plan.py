"""`facefoundry plan`: writes a dataset file, or checks one."""

from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path

import click

from facefoundry import recipes
from facefoundry.cli.connection import connect
from facefoundry.cli.errors import SOME_FAILED
from facefoundry.cli.options import ConnectionOptions, connection_options
from facefoundry.cli.tables import print_table
from facefoundry.cli.view import make_view
from facefoundry.dataset.rights import UNSTATED
from facefoundry.dataset.splits import SPLITS
from facefoundry.errors import InvalidInput
from facefoundry.planning import checking, draft, yaml_file
from facefoundry.planning.check import CheckFolder
from facefoundry.planning.facts import ClipFacts
from facefoundry.planning.objects import lister
from facefoundry.planning.recipe import recipe_of
from facefoundry.planning.resolve import ResolvedDataset, resolve
from facefoundry.settings import StoreSettings, read

__all__ = ["plan"]

_CLIPS_BETWEEN_LINES = 50


def _print_schema(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(json.dumps(yaml_file.schema(), indent=1, sort_keys=True))
        context.exit()


@click.command(short_help="Write a dataset file, or check one.")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCES...")
@click.option(
    "-o",
    "--output",
    "out",
    type=click.Path(path_type=Path, dir_okay=False),
    default="dataset.yaml",
    show_default=True,
    help="The dataset file to write.",
)
@click.option("--name", help="Name of the dataset.  [default: that of the first source]")
@click.option(
    "--recipe",
    default=recipes.DEFAULT,
    show_default=True,
    type=click.Choice(recipes.names()),
    help="Recipe of the dataset.",
)
@click.option(
    "--rights",
    metavar="WORD|FILE",
    help="Why the faces may be used: the file of a record of rights, or the word unstated.  [default: for you to write "
    "into the file]",
)
@click.option("--check", "is_check", is_flag=True, help="Check the dataset file SOURCES instead of writing one.")
@click.option(
    "--frames",
    type=click.IntRange(1, 64),
    default=checking.SAMPLE_FRAMES,
    show_default=True,
    help="With --check: number of frames of each clip to search for faces.",
)
@click.option(
    "--rates",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="OUT",
    help="With --check: output folder of an earlier run, whose speed and sizes are used for the estimate.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per message.")
@click.option(
    "--schema", is_flag=True, is_eager=True, expose_value=False, callback=_print_schema, help="Print the JSON schema."
)
@connection_options
def plan(
    sources: tuple[str, ...],
    out: Path,
    name: str | None,
    recipe: str,
    rights: str | None,
    is_check: bool,
    frames: int,
    rates: Path | None,
    as_json: bool,
    connection: ConnectionOptions,
) -> None:
    """Write a dataset file for clips, or check one.

    SOURCES are folders of clips, the folders of FF++, Celeb-DF, DFDC or VoxCeleb as downloaded, CSV lists, or prefixes
    s3://BUCKET/PREFIX/. To write the file, no clip is read, and no service is needed.

    With --check, SOURCES is one dataset file. All its clips are imported, and some of their frames are searched for
    faces. What was found, with a contact sheet of every clip, is in the folder <file>.check beside it. Run the same
    command again to continue a check that was stopped.

    \b
    Examples:
      facefoundry plan CLIPS -o dataset.yaml --rights rights/studio.yaml
      facefoundry plan FaceForensics++ -o ffpp.yaml --name ffpp-again
      facefoundry plan clips.csv s3://clips/2026/ -o dataset.yaml
      facefoundry plan --check dataset.yaml --local
      facefoundry plan --check dataset.yaml --extractor HOST:50051 --rates OUT

    Every field of the file has a comment. `--schema` prints its JSON schema for editors. The exit code of --check is 3
    if some clips cannot be used.
    """
    if is_check:
        if len(sources) != 1:
            raise InvalidInput("Expected one dataset file after --check. Received several.", reason="USAGE")
        _check(Path(sources[0]), frames, rates, as_json, connection)
        return
    list_objects = lister(read(StoreSettings))
    view = make_view(as_json)
    stated = rights
    if rights is not None and rights != UNSTATED and not Path(rights).is_absolute():
        stated = os.path.relpath(rights, out.parent)
    made = draft.plan(sources, out, name=name, recipe=recipe, rights=stated, list_objects=list_objects)
    view.message(f"Wrote {out}.")
    resolved = resolve(made, out.parent, list_objects)
    for line in (summary(resolved), *resolved.findings(), *_rights(resolved, rights)):
        view.message(line)


def _rights(resolved: ResolvedDataset, stated: str | None) -> list[str]:
    """Return sentences on clips without rights, and on rights that are unstated or end soon."""
    today = date.today()
    try:
        return resolved.rights(today).warnings(today)
    except InvalidInput as error:
        return [error.message if stated else "State why the faces may be used in rights.default before you run it."]


def _check(path: Path, frames: int, rates: Path | None, as_json: bool, options: ConnectionOptions) -> None:
    recipe_of(yaml_file.load(path))  # before anything is started
    count = 0

    def on_clip(facts: ClipFacts) -> None:
        nonlocal count
        count += 1
        if count % _CLIPS_BETWEEN_LINES == 0:
            view.message(f"{count} clips checked, the last one {facts.id}.")

    with make_view(as_json) as view, connect(options, view.message) as connected:
        transfers, threads = connected.transfers, connected.limits.extractions
        list_objects = lister(connected.store_settings)
        outcome = checking.check_with(path, transfers, list_objects, frames, threads, rates, on_clip)
    folder = CheckFolder.of(path).path
    if as_json:
        click.echo(json.dumps({"event": "check", **outcome.to_values()}))
    else:
        print_table(("check", "", "found"), ((row.what, row.state, row.found) for row in outcome.table()))
        click.echo(f"Details and contact sheets: {folder / 'index.html'}")
    if outcome.unusable:
        raise click.exceptions.Exit(SOME_FAILED)


def summary(resolved: ResolvedDataset) -> str:
    """Return a sentence with the numbers of clips and pairs."""
    splits = (
        ", ".join(f"{name} {len(resolved.pairs_of(name))}" for name in SPLITS) if resolved.split_of else "no splits"
    )
    return f"{len(resolved.clips)} clips, {len(resolved.pairs)} pairs: {splits}."
