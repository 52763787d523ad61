"""`facefoundry report`: the page of a run, made again from its record."""

from __future__ import annotations

from pathlib import Path

import click

from facefoundry.errors import InvalidInput

__all__ = ["report"]


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
def report(out: Path) -> None:
    """Write OUT/report.html from OUT/misc/report/run.json.

    \b
    Example:
      facefoundry report out/demo
    """
    from facefoundry.report import write

    if not (out / "misc" / "report" / "run.json").is_file():
        raise InvalidInput(f"{out} holds no run: {out / 'misc' / 'report' / 'run.json'} is missing.", reason="NO_RUN")
    click.echo(write(out))
