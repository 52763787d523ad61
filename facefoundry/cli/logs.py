"""`facefoundry logs`: prints the log of a submitted run."""

from __future__ import annotations

import click

from facefoundry.cli.cluster import cluster_options
from facefoundry.cli.plain import plain
from facefoundry.cluster.runs import Place

__all__ = ["logs"]


@click.command(short_help="Print the log of a submitted run.")
@click.option("--dataset", required=True, metavar="NAME", help="Name of the run.")
@click.option("-f", "--follow", is_flag=True, help="Print new lines until the pod ends.")
@cluster_options
def logs(dataset: str, follow: bool, place: Place) -> None:
    """Print the log of the newest pod of a run that was submitted: one JSON object per event.

    \b
    Example:
      facefoundry logs --dataset NAME --follow

    The record of the run, with the failures of all pairs, is in the bucket: `facefoundry status --dataset NAME`.
    """
    with place.open() as runs:
        for line in runs.log(dataset, follow=follow):
            click.echo(plain(line))
