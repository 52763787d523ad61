"""Rules of Markdown pages: length of lines, columns of tables."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.house import files
from tests.house.hits import Hit

MAX_WIDTH = 120
_FENCE = re.compile(r"^\s*(```|~~~)")
_LINK_ONLY = re.compile(r"^\s*(?:[-*]\s+|\d+\.\s+)?!?\[[^\]]*\](?:\([^)]*\)|:\s*\S+)[.,;]?$")
_CODE = re.compile(r"`[^`]*`")


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield number and text of every line outside code blocks."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            yield number, line


def long_lines() -> list[Hit]:
    """Find lines of more than 120 characters; tables, code, links on their own and generated pages apart."""
    return [
        Hit(files.name_of(path), number, f"{len(line)} characters")
        for path in files.tracked(".md")
        if files.name_of(path) not in files.GENERATED_PAGES
        for number, line in lines_of_text(path.read_text())
        if len(line) > MAX_WIDTH
    ]


def longest_line() -> int:
    """Return the width of the widest line that the rule is for."""
    pages = (path for path in files.tracked(".md") if files.name_of(path) not in files.GENERATED_PAGES)
    return max(len(line) for path in pages for _, line in lines_of_text(path.read_text()))


def lines_of_text(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a page whose length a person chose."""
    for number, line in prose(text):
        if not line.lstrip().startswith("|") and not line.startswith("    ") and not _LINK_ONLY.match(line):
            yield number, line


def ragged_tables() -> list[Hit]:
    """Find rows with another number of columns than their table's head."""
    return [
        Hit(files.name_of(path), number, fault)
        for path in files.tracked(".md")
        for number, fault in ragged_rows(path.read_text())
    ]


def ragged_rows(text: str) -> Iterator[tuple[int, str]]:
    """Yield number and fault of every row that does not fit its table."""
    columns: int | None = None
    for number, line in prose(text):
        row = _CODE.sub("", line.strip()).replace(r"\|", "")
        if not row.startswith("|"):
            columns = None
            continue
        if not row.endswith("|"):
            yield number, "a row of a table ends with |"
        found = row.count("|") - 1
        if columns is None:
            columns = found
        elif found != columns:
            yield number, f"{found} columns, and {columns} in the head"
