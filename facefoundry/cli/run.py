"""`facefoundry run`: makes the dataset that a dataset file describes."""

from __future__ import annotations

from pathlib import Path

import click

from facefoundry.cli.options import ConnectionOptions, connection_options, layout_option
from facefoundry.cli.plan import summary
from facefoundry.cli.session import Session, command_line, connected_view, make_pairs
from facefoundry.dataset.layouts import layout_of
from facefoundry.planning import yaml_file
from facefoundry.planning.making import assemble
from facefoundry.planning.objects import lister
from facefoundry.planning.recipe import recipe_of
from facefoundry.planning.running import plan_of

__all__ = ["run"]


@click.command(short_help="Make the dataset that a dataset file describes.")
@click.argument("dataset_file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "-o",
    "--output",
    "out",
    type=click.Path(path_type=Path, file_okay=False),
    default="output",
    show_default=True,
    help="Folder of the results.",
)
@layout_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per event, without progress bars.")
@connection_options
def run(dataset_file: Path, out: Path, layout: str | None, as_json: bool, connection: ConnectionOptions) -> None:
    """Make all pairs of a dataset file: models, fakes, masks, labels and real videos.

    \b
    Examples:
      facefoundry run dataset.yaml -o OUT --local
      facefoundry run dataset.yaml -o OUT --extractor HOST:50051 --trainer HOST:50052 --converter HOST:50053
      facefoundry status --dataset NAME        (shows its trainings; NAME is that in the file)

    Run the same command again to continue a run that was stopped, and to try pairs again that failed.
    """
    recipe_of(yaml_file.load(dataset_file))  # before anything is started
    named = layout_of(out, layout)
    with connected_view(connection, as_json) as (view, connected):
        plan, resolved = plan_of(dataset_file, lister(connected.store_settings))
        session = Session(view, assemble(plan, named, connected, view.event, command_line()))
        make_pairs(session, [summary(resolved), *resolved.findings()], on_this_machine=connection.use_local)
