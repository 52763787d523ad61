"""Prints tables, as wide as a terminal, or as they are in a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from facefoundry.cli.plain import plain

__all__ = ["print_table"]

_PIPE_WIDTH = 1000


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, whole: str = "") -> None:
    """Print a table.

    Args:
        columns: Names of the columns.
        rows: The cells, which are printed as they are: `[red]` is no markup.
        whole: Name of a column whose cells are never cut; on a narrow terminal they have several lines.
    """
    table = Table(*(Column(name, overflow="fold" if name == whole else "ellipsis") for name in columns), box=None)
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    console = Console()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    console.print(table)
