"""Each house rule sees what it is for, and lets pass what it is not for."""

from __future__ import annotations

import ast

import pytest

from tests.house import pages, python, words


@pytest.mark.parametrize(
    "line",
    ["_LADDER_NAME = 1", "class CompressionLadder:", "the ladder's rungs", "Three Pieces of it", "as_of(now)"],
)
def test_a_retired_word_is_found_in_prose_and_in_names(line):
    assert list(words.in_line(line))


@pytest.mark.parametrize("line", ["an original idea", "git push origin main", "the original clip", "masterpieces"])
def test_other_words_and_other_meanings_pass(line):
    assert not list(words.in_line(line))


def test_names_in_code_have_no_retired_verb_bound_or_loop_variable():
    code = "def say(told): pass\n_MOST_STEPS = 3\nfor one in range(2): self.noted = 1\n"
    assert sorted(line for line, _ in words.in_names(ast.parse(code))) == [1, 1, 2, 3, 3]
    assert not list(words.in_names(ast.parse("def essay(saying, most_common): phone = 1\n")))
    assert not list(words.in_names(ast.parse("def test_the_error_says_why(): pass\n")))


def test_every_any_that_is_written_out_counts_once():
    code = "import typing\nfrom typing import Any\nx: dict[str, Any]\ny: typing.Any\nAnyway = 'Any'\n"
    assert sorted(python.any_in(code)) == [3, 4]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("x = f()  # type: ignore", "type: ignore without a code"),
        ("x = f()  # type: ignore[misc]", "type: ignore without a reason"),
        ("x = f()  # type: ignore[misc]  # cv2 has no types", ""),
        ("x = f()", ""),
    ],
)
def test_a_type_ignore_has_a_code_and_a_reason(line, fault):
    assert python.fault_of_ignore(line) == fault


def test_rows_of_a_table_have_as_many_columns_as_its_head():
    table = "| a | b |\n|---|---|\n| 1 | `x | y` |\n| 1 |\n\n| c |\n|---|\n```\n| not | a | table |\n```\n"
    assert list(pages.ragged_rows(table)) == [(4, "1 columns, and 2 in the head")]


def test_long_lines_of_tables_code_and_links_are_not_counted():
    long = "x" * 130
    text = f"| {long} |\n```\n{long}\n```\n[{long}](https://example.org)\n{long}\n"
    assert [number for number, line in pages.lines_of_text(text) if len(line) > pages.MAX_WIDTH] == [6]
