"""`python -m tests.house [--list RULE]`: print the counts of the house rules, and fail if one is exceeded."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tests.house import pages, python, words
from tests.house.hits import Hit

_SHOWN = 12


class Rule(NamedTuple):
    """A house rule.

    Attributes:
        title: What is counted.
        find: Finds the places.
        at_most: How many there may be; more of them fail the command.
    """

    title: str
    find: Callable[[], list[Hit]]
    at_most: int = 0


RULES = {
    "words": Rule("retired words", words.retired_words),
    "any": Rule("explicit Any in facefoundry and services", python.explicit_any, at_most=30),
    "modules": Rule("Python modules of more than 400 lines", python.long_modules),
    "ignores": Rule("type: ignore without a code and a reason", python.bare_ignores),
    "markdown": Rule("Markdown lines of more than 120 characters", pages.long_lines),
    "tables": Rule("table rows with other columns than their head", pages.ragged_tables),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the counts, and where the hits are of the rules that do not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.house", description=__doc__)
    parser.add_argument("--list", choices=RULES, metavar="RULE", help=f"every place of one rule: {', '.join(RULES)}")
    chosen = parser.parse_args(arguments)
    if chosen.list:
        for hit in RULES[chosen.list].find():
            print(hit)
        return 0
    failed = False
    for name, rule in RULES.items():
        hits = rule.find()
        exceeded = len(hits) > rule.at_most
        failed |= exceeded
        print(f"{len(hits):5} of at most {rule.at_most:2}  {rule.title}{': TOO MANY' if exceeded else ''}")
        if exceeded:
            _show(name, hits)
    lines, longest = python.modules()[0]
    print(f"{lines:5} lines      has the longest Python module, {longest}")
    print(f"{pages.longest_line():5} characters has the longest line of Markdown, tables and code apart")
    return int(failed)


def _show(name: str, hits: Sequence[Hit]) -> None:
    for hit in hits[:_SHOWN]:
        print(f"        {hit}")
    if len(hits) > _SHOWN:
        print(f"        ... all of them: python -m tests.house --list {name}")


if __name__ == "__main__":
    sys.exit(main())
