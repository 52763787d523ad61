"""`facefoundry datasheet`: writes the datasheet of a finished dataset."""

from __future__ import annotations

from pathlib import Path

import click

from facefoundry.dataset.layouts import layout_of

__all__ = ["datasheet"]


@click.command(short_help="Write the datasheet of a dataset.")
@click.argument("dataset", type=click.Path(path_type=Path, exists=True, file_okay=False))
def datasheet(dataset: Path) -> None:
    """Write datasheet.md and datasheet.html into the folder DATASET, from its records.

    \b
    Example:
      facefoundry datasheet OUT

    Motivation, collection, contact and maintenance are those of `about` in the dataset file.
    """
    from facefoundry.provenance.datasheet import write_datasheet

    layout = layout_of(dataset)
    made = write_datasheet(layout)
    missing = [section.title for section in made.sections if not section.is_stated]
    click.echo(f"Wrote {layout.root / 'datasheet.md'} and datasheet.html.")
    if missing:
        click.echo(f"Not stated: {', '.join(missing)}. Write them into `about` of the dataset file, and run it again.")
