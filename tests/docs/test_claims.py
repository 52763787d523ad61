"""What the pages claim is shown: every row of their tables names tests or commands, and these exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("fidelity", "api", "objects", "input")
SHOWN_BY = "shown by"
TEST = re.compile(r"\[(test_\w+)\]\(\.\./(tests/[\w/]+/test_\w+\.py)\)")
COMMAND = re.compile(r"`(?:python -m (?P<module>[\w.]+)|make (?P<target>[a-z-]+))\b[^`]*`")
DEFECT = re.compile(r"B\d+")


def proofs(page: str) -> list[list[str]]:
    """The rows of a page's tables whose last column says what shows them, as cells."""
    rows: list[list[str]] = []
    shown = False
    for line in (ROOT / "docs" / f"{page}.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            shown = False
        elif cells[-1] == SHOWN_BY:
            shown = True
        elif shown and set(line) - set("|-"):
            rows.append(cells)
    return rows


@cache
def collected_from(path: str) -> frozenset[str]:
    """The tests that pytest collects from a file, by name."""
    return frozenset(
        node.name for node in ast.parse((ROOT / path).read_text()).body if isinstance(node, ast.FunctionDef)
    )


@pytest.mark.parametrize("page", PAGES)
def test_every_row_of_a_table_of_claims_names_a_test_or_a_command(page):
    rows = proofs(page)
    assert len(rows) > 10
    for *claim, shown_by in rows:
        left = COMMAND.sub("", TEST.sub("", shown_by))
        assert shown_by and not left.strip(" ,"), claim


@pytest.mark.parametrize("page", PAGES)
def test_what_shows_a_claim_exists(page):
    makefile = (ROOT / "Makefile").read_text()
    for *claim, shown_by in proofs(page):
        for name, path in TEST.findall(shown_by):
            assert name in collected_from(path), claim
        for command in COMMAND.finditer(shown_by):
            if command["module"]:
                assert find_spec(command["module"]), claim
            else:
                assert re.search(rf"^{command['target']}:", makefile, re.MULTILINE), claim


def test_each_of_the_18_defects_of_ffpp_has_the_one_test_of_its_number():
    rows = [cells for cells in proofs("fidelity") if DEFECT.fullmatch(cells[0])]
    assert [cells[0] for cells in rows] == [f"B{number}" for number in range(1, 19)]
    defined = [
        (name, path.relative_to(ROOT).as_posix())
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_b\d\d_\w+)\(", path.read_text(), re.MULTILINE)
    ]
    named = [proof for cells in rows for proof in TEST.findall(cells[-1])]
    assert sorted(named) == sorted(defined)
    for number, (name, _) in enumerate(named, 1):
        assert name.startswith(f"test_b{number:02}_"), name
