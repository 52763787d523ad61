"""The table of docs/stores.md."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["replaced", "table"]

_TABLE = re.compile(r"Run on \d{4}-\d\d-\d\d\S\n\n(\|.*\n)+")


def table(columns: Mapping[str, Mapping[str, str]], day: str) -> str:
    """Return the table with the day of the run above it.

    Args:
        columns: For each server, its cells by the name of the row.
        day: Date of the run, ISO 8601.
    """
    rows = list(dict.fromkeys(row for cells in columns.values() for row in cells))
    lines = [f"Run on {day}:", "", "| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    lines += [f"| {row} | " + " | ".join(cells.get(row, "") for cells in columns.values()) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def replaced(page: str, made: str) -> str:
    """Return the text of the page with another table.

    Raises:
        ValueError: the page does not have exactly one table with the day of its run above it.
    """
    if len(_TABLE.findall(page)) != 1:
        raise ValueError("expected one table below a line such as 'Run on 2026-01-31:'")
    return _TABLE.sub(lambda _: made, page)
