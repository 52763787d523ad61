"""`facefoundry verify`: verifies signatures, ingredients, digests and labels of a dataset."""

from __future__ import annotations

import json
from pathlib import Path

import click

from facefoundry.cli.errors import FOUND
from facefoundry.cli.plain import plain
from facefoundry.cli.signing import development_folder, require_extra
from facefoundry.cli.tables import print_table
from facefoundry.cli.view import make_view
from facefoundry.codec import to_values
from facefoundry.dataset.layouts import layout_of
from facefoundry.dataset.progress import Event

__all__ = ["verify"]


@click.command(short_help="Verify signatures, digests and labels of a dataset.")
@click.argument("dataset", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--trust",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="PEM file of the authorities to trust; a video that they do not vouch for is at fault.  [default: the "
    "development certificate of this machine, and who signed is only told]",
)
@click.option(
    "--frames",
    type=click.IntRange(0),
    default=16,
    show_default=True,
    help="Swapped frames, and others, of each fake to compare with their labels; 0 for none.",
)
@click.option("--processes", type=click.IntRange(1, 256), help="Processes that decode.  [default: one for each core]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per event, without progress bars.")
def verify(dataset: Path, trust: Path | None, frames: int, processes: int | None, as_json: bool) -> None:
    """Verify the folder DATASET: every signature, what fakes were made of, digests, and labels against pixels.

    \b
    Examples:
      facefoundry verify OUT
      facefoundry verify OUT --trust roots.pem

    Labels are compared with the raw videos: a frame that is labelled swapped must differ from the target's, within its
    box, and any other frame must be equal. Without --trust, an unsigned dataset is verified by its records and labels.
    It needs the extras `sign` and `check`. The exit code is 4 if something is wrong.
    """
    require_extra()
    from facefoundry.provenance import credentials, verifying

    anchors = credentials.anchors(trust) if trust else credentials.roots(development_folder())
    with make_view(as_json) as view:

        def on_progress(done: int, total: int, last: str) -> None:
            state = "done" if done == total else "running"
            view.event(Event(dataset.name, "verify", state, done, total, "files", last))

        made = verifying.verify_dataset(
            layout_of(dataset),
            anchors,
            only_trusted=trust is not None,
            frames=frames,
            processes=processes,
            on_progress=on_progress,
        )
    if as_json:
        rows = [to_values(row) for row in made.table()]
        click.echo(json.dumps({"event": "verify", "rows": rows, **to_values(made)}))
    else:
        print_table(("verified", "", "found"), ((row.what, row.state, row.found) for row in made.table()))
        for fault in made.failed:
            click.echo(plain(fault))
    if made.failed:
        raise click.exceptions.Exit(FOUND)
