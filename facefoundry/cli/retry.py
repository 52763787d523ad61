"""`facefoundry retry`: starts the Job of a submitted run again."""

from __future__ import annotations

import json

import click

from facefoundry.cli.cluster import cluster_options, sentence
from facefoundry.cli.plain import plain
from facefoundry.cluster.runs import Place, retry_in
from facefoundry.codec import to_values

__all__ = ["retry"]


@click.command(short_help="Start the Job of a submitted run again.")
@click.option("--dataset", required=True, metavar="NAME", help="Name of the run.")
@click.option("--failed", "only_failed", is_flag=True, help="Refuse a Job whose pairs are all made. It needs the Job.")
@cluster_options
@click.option("--release", help="Name of the release, if the namespace has several.")
@click.option("--json", "as_json", is_flag=True, help="Print the state of the Job as one JSON object.")
def retry(dataset: str, only_failed: bool, place: Place, release: str | None, as_json: bool) -> None:
    """Start the Job of a run again that failed or was cancelled, with what was submitted.

    \b
    Examples:
      facefoundry retry --dataset NAME --failed
      facefoundry retry --dataset NAME          (after `facefoundry cancel`, or a week after the end)

    Pairs that are made are not made again, and pairs that failed are tried again.
    """
    with place.open() as runs:
        state = retry_in(runs, dataset, only_failed=only_failed, release=release)
    click.echo(json.dumps(to_values(state)) if as_json else plain(sentence(state)))
