"""Tables as HTML, for objects that a notebook shows."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

__all__ = ["html_table"]


def html_table(columns: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """Return a table, or the caption alone if there are no rows; all texts are escaped.

    Args:
        columns: Names of the columns.
        rows: The cells.
        caption: Words above the table.
    """
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in columns)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    if not body:
        return f"<p>{html.escape(caption)}</p>"
    words = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{words}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
