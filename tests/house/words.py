"""Retired words: each was one of two names for a thing, or no English; docs/glossary.md has the words in use."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.house import files
from tests.house.hits import Hit


class Retired(NamedTuple):
    """A word that is not used any more.

    Attributes:
        pattern: What it looks like. Names are split into words before, so `_LADDER_OF` is read as "ladder of".
        instead: What to write.
        allowed: Phrases in which the word has another, common meaning.
    """

    pattern: str
    instead: str
    allowed: str = ""


RETIRED = (
    Retired(r"ladders?|rungs?", "level, levels"),
    Retired(r"hand-?offs?", "worker protocol"),
    Retired(r"ledgers?", "training store"),
    Retired(
        r"origins?|origin's", "FF++, or where something comes from", allowed=r"git .*\borigin\b|(?:cross|same)-origin"
    ),
    Retired(
        r"the original(?:'s|s)?",
        "FF++",
        allowed=r"the original (?:model|architecture|sequences?|clips?|videos?|frames?|file|error|exception|size)s?",
    ),
    Retired(r"reals", "real videos"),
    Retired(r"untouched", "not swapped, unchanged"),
    Retired(r"im?patien(?:t|ce|tly)|patien(?:t|ce|tly)", "deadline, retry"),
    Retired(r"troubles?", "diagnosis, failure"),
    Retired(r"lend(?:s|ing)?|lent", "acquire"),
    Retired(r"stocks?", "pool", allowed=r"\bstocks?\b (?:photo|footage)"),
    Retired(r"last words?", "exit report"),
    Retired(r"as of", "from, at"),
    Retired(r"so many", "that many, or a number"),
    Retired(r"is there already|there already", "exists, is stored"),
    Retired(r"that shall|shall not|shall be|shall", "must, should, will"),
    Retired(r"shards?", "part"),
    Retired(r"pieces?", "part, chunk, slice"),
    Retired(r"taken up|takes up|take up", "restarted, resumed"),
    Retired(
        r"behind (?:it|=|the (?:first|range|file|last message|running chunk))|(?:comes?|just|up|nor those) behind",
        "after",
    ),
    Retired(r"anew", "again"),
    Retired(r"lets? go of|letting go of", "release, close, free"),
    Retired(r"(?:became|becomes) of|mak(?:es?|ing) good|made good|gives? way|the way there", "plain English"),
    Retired(r"in circles|the like of|against its nature|are all that must be there", "plain English"),
)

# Verbs that names in code do not use, and what they use.
_VERBS = {"say": "emit", "says": "emit", "said": "emitted", "tell": "report", "tells": "report", "told": "reported"}
_VERBS |= {"note": "record", "noted": "recorded", "notes": "messages"}
_BOUNDS = {"MOST": "MAX", "LEAST": "MIN"}

_EXEMPT = ("tests/house/", "CHANGELOG.md", "LICENSE")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PATTERNS = [
    (re.compile(rf"\b(?:{word.pattern})\b", re.IGNORECASE), word, re.compile(word.allowed or r"(?!)", re.IGNORECASE))
    for word in RETIRED
]


def in_line(line: str) -> Iterator[str]:
    """Yield what is wrong with one line of text."""
    words = _CAMEL.sub(" ", line).replace("_", " ")
    for pattern, word, allowed in _PATTERNS:
        for match in pattern.finditer(allowed.sub(" ", words)):
            yield f"{match[0]!r}: write {word.instead}"


def in_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and fault of every name that uses a retired verb, bound or loop variable; tests are sentences."""
    for node in ast.walk(tree):
        for name in _defined(node):
            line = getattr(node, "lineno", 0)
            if name == "one":
                yield line, "'one': name what it is"
            sentence = name.startswith("test_")
            for word in name.split("_"):
                if word in _VERBS and not sentence:
                    yield line, f"{name!r}: use {_VERBS[word]}"
                if word in _BOUNDS:
                    yield line, f"{name!r}: use {_BOUNDS[word]}"


def _defined(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
        yield node.id if isinstance(node, ast.Name) else node.attr


def retired_words() -> list[Hit]:
    """Find every retired word in every file, and in the file's name."""
    found = []
    for path in files.texts():
        name = files.name_of(path)
        if name.startswith(_EXEMPT):
            continue
        found += [Hit(name, 0, f"file name: {fault}") for fault in in_line(name)]
        found += _in_text(name, path)
    return found


def _in_text(name: str, path: Path) -> Iterator[Hit]:
    text = path.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        yield from (Hit(name, number, fault) for fault in in_line(line))
    if path.suffix == ".py":
        yield from (Hit(name, number, fault) for number, fault in in_names(ast.parse(text)))
