"""The table that `make stores` writes to docs/stores.md."""

from __future__ import annotations

import pytest

from tests.house import files
from tests.stores import page
from tests.stores.servers import KINDS

TABLE = page.table({"A 1": {"lists": "ok", "links": "differs"}, "B 2": {"lists": "ok"}}, "2026-01-31")


def test_each_server_is_a_column_and_a_cell_that_is_not_known_is_empty() -> None:
    expected = "| | A 1 | B 2 |\n|---|---|---|\n| lists | ok | ok |\n| links | differs |  |\n"
    assert f"Run on 2026-01-31:\n\n{expected}" == TABLE


def test_a_table_takes_the_place_of_the_one_on_the_page_and_nothing_else_changes() -> None:
    text = (files.ROOT / "docs/stores.md").read_text()
    made = page.replaced(text, TABLE)
    assert TABLE in made and page.replaced(made, TABLE) == made
    assert made.partition("Run on")[0] == text.partition("Run on")[0]
    assert made.rpartition("|\n")[2] == text.rpartition("|\n")[2]
    with pytest.raises(ValueError, match="one table"):
        page.replaced("no table", TABLE)


def test_the_page_has_the_servers_that_are_run() -> None:
    head = "| | " + " | ".join(kind.title for kind in KINDS.values()) + " |"
    assert head in (files.ROOT / "docs/stores.md").read_text()
