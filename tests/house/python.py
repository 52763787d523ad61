"""Rules of Python modules: their length, explicit `Any`, and reasons of `type: ignore`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.house import files
from tests.house.hits import Hit

MAX_LINES = 400
_PRODUCT = ("facefoundry/", "services/")
_IGNORE = re.compile(r"#\s*type:\s*ignore(?P<code>\[[a-z0-9, -]+\])?(?P<rest>.*)")


def long_modules() -> list[Hit]:
    """Find modules with more than 400 lines."""
    return [Hit(name, 0, f"{lines} lines") for lines, name in modules() if lines > MAX_LINES]


def modules() -> list[tuple[int, str]]:
    """Return lines and name of every module, the longest first."""
    counted = ((len(path.read_text().splitlines()), files.name_of(path)) for path in files.tracked(".py"))
    return sorted(counted, reverse=True)


def explicit_any() -> list[Hit]:
    """Find every `Any` that the product's code writes out, imports apart."""
    return [
        Hit(files.name_of(path), line, "explicit Any")
        for path in files.tracked(".py", below=_PRODUCT)
        for line in any_in(path.read_text())
    ]


def any_in(code: str) -> Iterator[int]:
    """Yield the line of every `Any` in code."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) in ("Any", "typing.Any"):
            yield node.lineno


def bare_ignores() -> list[Hit]:
    """Find every `type: ignore` without a code or without a reason on its line."""
    return [
        Hit(files.name_of(path), number, fault)
        for path in files.tracked(".py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if not files.name_of(path).startswith("tests/house/") and (fault := fault_of_ignore(line))
    ]


def fault_of_ignore(line: str) -> str:
    """Return what a `type: ignore` on a line lacks, or nothing."""
    match = _IGNORE.search(line)
    if match is None:
        return ""
    if match["code"] is None:
        return "type: ignore without a code"
    return "" if re.search(r"[a-z]{3}", match["rest"]) else "type: ignore without a reason"
