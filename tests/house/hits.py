"""A place where a house rule does not hold."""

from __future__ import annotations

from typing import NamedTuple


class Hit(NamedTuple):
    """One place, and what is wrong there."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"
