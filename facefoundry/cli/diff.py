"""`facefoundry diff`: tells what differs between two datasets."""

from __future__ import annotations

import json
from pathlib import Path

import click

from facefoundry import codec
from facefoundry.cli.connection import store_settings
from facefoundry.cli.errors import show
from facefoundry.cli.options import local_dir_option
from facefoundry.cli.plain import plain
from facefoundry.cli.tables import print_table
from facefoundry.dataset.version import short
from facefoundry.dataset.version_diff import DatasetDiff, DatasetFacts
from facefoundry.errors import FaceFoundryError
from facefoundry.planning.diffing import diff_with

__all__ = ["diff"]

_DIFFERENT, _NOT_COMPARED = 1, 2  # the codes of diff(1)


@click.command(short_help="Tell what differs between two datasets.")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--local", "use_local", is_flag=True, help="Use the object store of this machine.")
@local_dir_option
def diff(first: str, second: str, as_json: bool, use_local: bool, local_dir: Path | None) -> None:
    """Print what differs between the datasets A and B: levels, clips, pairs, fakes, labels and splits.

    A and B are folders, places such as s3://BUCKET/datasets/NAME/, or names below datasets/ of the bucket in
    FACEFOUNDRY_STORE_BUCKET. Files in a bucket are compared by the digests in its indexes, and are not fetched.

    \b
    Examples:
      facefoundry diff OLD NEW
      facefoundry diff OUT s3://bucket/datasets/celebs/

    The exit code is 0 if the datasets have the same content, 1 if not, and 2 if they cannot be compared.
    """
    try:
        with store_settings(use_local, local_dir, lambda text: click.echo(text, err=True)) as settings:
            found = diff_with(settings, first, second)
    except FaceFoundryError as error:
        show(error, as_json=as_json)
        raise click.exceptions.Exit(_NOT_COMPARED) from error
    if as_json:
        click.echo(json.dumps({"event": "diff", **codec.to_values(found)}))
    else:
        _print(found)
    if found.differences:
        raise click.exceptions.Exit(_DIFFERENT)


def _print(found: DatasetDiff) -> None:
    for name, facts in (("A", found.first), ("B", found.second)):
        click.echo(plain(f"{name}: {_sentence(facts)}"))
    if not found.differences:
        click.echo("They have the same content.")
        return
    rows = ((each.change, each.what, each.id, ", ".join(each.detail)) for each in found.differences)
    print_table(("change", "what", "id", "detail"), rows, whole="detail")


def _sentence(facts: DatasetFacts) -> str:
    return (
        f"{facts.place}, version {short(facts.version)}: {facts.clips:,} clips, {facts.pairs:,} pairs, "
        f"{facts.fakes:,} fakes, levels {', '.join(facts.levels)}."
    )
