"""`facefoundry logs`: prints the log of a submitted run."""

from __future__ import annotations

import json

import click

from facefoundry.cli.cluster import cluster_options
from facefoundry.cli.plain import plain
from facefoundry.cluster.runs import Place
from facefoundry.codec import to_values
from facefoundry.errors import NotFound
from facefoundry.planning.stored_run import stored_log
from facefoundry.settings import StoreSettings, read
from facefoundry.storage.store import Store

__all__ = ["logs"]

_NO_POD = ("NO_JOB", "NO_LOG")  # reasons of errors that come before the first line
_WITHOUT_KEYS = (
    "The bucket may have the events that the run has saved. To print them, set FACEFOUNDRY_STORE_ENDPOINT, "
    "FACEFOUNDRY_STORE_BUCKET, FACEFOUNDRY_STORE_ACCESS_KEY and FACEFOUNDRY_STORE_SECRET_KEY."
)


@click.command(short_help="Print the log of a submitted run.")
@click.option("--dataset", required=True, metavar="NAME", help="Name of the run.")
@click.option("-f", "--follow", is_flag=True, help="Print new lines until the pod ends.")
@cluster_options
def logs(dataset: str, follow: bool, place: Place) -> None:
    """Print the log of the newest pod of a run that was submitted: one JSON object per event.

    \b
    Example:
      facefoundry logs --dataset NAME --follow

    Without such a pod, the events that the run has saved in the bucket are printed, where there are keys of the store:
    how stages and pairs ended, the newest 1,000. Every other error ends the command. The failures of all pairs are in
    the record of the run: `facefoundry status --dataset NAME`.
    """
    try:
        with place.open() as runs:
            for line in runs.log(dataset, follow=follow):
                click.echo(plain(line))
    except NotFound as error:
        if error.reason not in _NO_POD:
            raise
        settings = read(StoreSettings)
        if not settings.has_keys:
            click.echo(_WITHOUT_KEYS, err=True)
            raise
        saved = stored_log(Store(settings), dataset)
        if saved is None:
            raise
        click.echo(plain(f"{error.message} [{error.reason}] The run has saved these events in the bucket:"), err=True)
        for event in saved.events:
            click.echo(plain(json.dumps(to_values(event))))
