"""`facefoundry report`: writes the report page of a run again, from its record."""

from __future__ import annotations

from pathlib import Path

import click

from facefoundry.dataset.ffpp_layout import FfppLayout
from facefoundry.errors import InvalidInput, NotFound

__all__ = ["report"]


@click.command(short_help="Write the report page of a run again.")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
def report(out: Path) -> None:
    """Write OUT/report.html from the run record in OUT/misc/report.

    \b
    Example:
      facefoundry report out/demo
    """
    from facefoundry.report import write

    try:
        click.echo(write(FfppLayout(out)))
    except NotFound as error:
        raise InvalidInput(error.message, reason=error.reason) from error
