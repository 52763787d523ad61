"""`facefoundry plan`: writes a dataset file."""

from __future__ import annotations

import json
from pathlib import Path

import click

from facefoundry import recipes
from facefoundry.cli.view import make_view
from facefoundry.planning import draft, yaml_file
from facefoundry.planning.dataset_file import SPLITS
from facefoundry.planning.objects import lister
from facefoundry.planning.resolve import ResolvedDataset, resolve
from facefoundry.settings import StoreSettings, read

__all__ = ["plan"]


def _print_schema(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(json.dumps(yaml_file.schema(), indent=1, sort_keys=True))
        context.exit()


@click.command(short_help="Write a dataset file.")
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
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per message.")
@click.option(
    "--schema", is_flag=True, is_eager=True, expose_value=False, callback=_print_schema, help="Print the JSON schema."
)
def plan(sources: tuple[str, ...], out: Path, name: str | None, recipe: str, as_json: bool) -> None:
    """Write a dataset file for clips: which ones, in which splits and pairs, made by which recipe.

    SOURCES are folders of clips, the folders of FF++, Celeb-DF, DFDC or VoxCeleb as downloaded, CSV lists, or prefixes
    s3://BUCKET/PREFIX/. No clip is read.

    \b
    Examples:
      facefoundry plan CLIPS -o dataset.yaml
      facefoundry plan FaceForensics++ -o ffpp.yaml --name ffpp-again
      facefoundry plan clips.csv s3://clips/2026/ -o dataset.yaml

    Every field of the file has a comment. `--schema` prints its JSON schema for editors.
    """
    list_objects = lister(read(StoreSettings))
    view = make_view(as_json)
    made = draft.plan(sources, out, name=name, recipe=recipe, list_objects=list_objects)
    view.message(f"Wrote {out}.")
    resolved = resolve(made, out.parent, list_objects)
    for line in (summary(resolved), *resolved.findings()):
        view.message(line)


def summary(resolved: ResolvedDataset) -> str:
    """Return a sentence with the numbers of clips and pairs."""
    splits = (
        ", ".join(f"{name} {len(resolved.pairs_of(name))}" for name in SPLITS) if resolved.split_of else "no splits"
    )
    return f"{len(resolved.clips)} clips, {len(resolved.pairs)} pairs: {splits}."
