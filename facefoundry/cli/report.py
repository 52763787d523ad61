"""`facefoundry report`: writes the report page of a run again, from its record."""

from __future__ import annotations

from pathlib import Path

import click

from facefoundry.dataset.layouts import layout_of
from facefoundry.errors import InvalidInput, NotFound

__all__ = ["report"]


@click.command(short_help="Write the report page of a run again.")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
def report(out: Path) -> None:
    """Write the report page of the dataset in OUT from its run record, in the layout that the record names.

    \b
    Example:
      facefoundry report out/demo
    """
    from facefoundry.report import write

    try:
        click.echo(write(layout_of(out)))
    except NotFound as error:
        raise InvalidInput(error.message, reason=error.reason) from error
