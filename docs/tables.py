"""Fill the generated tables of a page that is otherwise written by hand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["fill", "table"]


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def fill(page: str, name: str, text: str) -> str:
    """Return the page with a text between its lines `<!-- begin NAME -->` and `<!-- end NAME -->`.

    Raises:
        LookupError: the page has no such lines.
    """
    place = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
    filled, count = place.subn(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", page)
    if count != 1:
        raise LookupError(f"Expected one place for the table {name!r}, found {count}.")
    return filled
