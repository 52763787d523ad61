"""`python -m tests.house [--counts | --list RULE]`: print the counts of the house rules, fail where one is exceeded."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
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
        at_most: How many there may be.
        enforced: More of them fail the command; otherwise they are only printed.
    """

    title: str
    find: Callable[[], list[Hit]]
    at_most: int = 0
    enforced: bool = True


RULES = {
    "words": Rule("retired words", words.retired_words),
    "any": Rule("explicit Any in facefoundry and services", python.explicit_any, at_most=60),
    "modules": Rule("Python modules of more than 400 lines", python.long_modules, enforced=False),
    "ignores": Rule("type: ignore without a code and a reason", python.bare_ignores),
    "markdown": Rule("Markdown lines of more than 120 characters", pages.long_lines),
    "tables": Rule("table rows with other columns than their head", pages.ragged_tables),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the counts, and where the hits are of the rules that do not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.house", description=__doc__)
    parser.add_argument("--counts", action="store_true", help="the counts alone, and the longest module and line")
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
        failed |= exceeded and rule.enforced
        mark = "" if not exceeded else " FAILS" if rule.enforced else " (not enforced yet)"
        print(f"{len(hits):5} of at most {rule.at_most:2}  {rule.title}{mark}")
        if exceeded and (rule.enforced or not chosen.counts):
            _show(name, hits)
    lines, longest = python.modules()[0]
    print(f"{lines:5} lines      has the longest Python module, {longest}")
    print(f"{pages.longest_line():5} characters has the longest line of Markdown, tables and code apart")
    return int(failed)


def _show(name: str, hits: Sequence[Hit]) -> None:
    by_file = Counter(hit.file for hit in hits)
    for file, count in by_file.most_common(_SHOWN):
        print(f"        {count:4}  {file}")
    rest = len(by_file) - _SHOWN
    more = f"and {rest} files more; " if rest > 0 else ""
    print(f"              {more}every place: python -m tests.house --list {name}")


if __name__ == "__main__":
    sys.exit(main())
