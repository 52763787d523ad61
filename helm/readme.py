"""Print the chart's README.md with its tables of values made from values.yaml: `python -m helm.readme`."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

from docs.tables import fill, table

__all__ = ["CHART", "Value", "page", "values"]

CHART = Path(__file__).parent / "facefoundry"
# Maps that are one value: their keys are the cluster's own.
_WHOLE = {"resources", "labels"}


class Value(NamedTuple):
    """One value of the chart.

    Attributes:
        path: Keys, joined by dots.
        default: The default as JSON.
        meaning: The comment above it.
    """

    path: str
    default: str
    meaning: str


def values(text: str) -> Iterator[tuple[str, list[Value]]]:
    """Yield the comment of each block of values.yaml with its values; values at the top level have a block each.

    Raises:
        LookupError: a value has no comment.
    """
    lines, root = text.splitlines(), yaml.compose(text, yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    for key, node in root.value:
        if isinstance(node, yaml.MappingNode):
            yield _comment(lines, key), list(_values(lines, key.value, node))
        else:
            yield "", [_value(lines, key.value, key, node)]


def _values(lines: list[str], path: str, block: yaml.MappingNode) -> Iterator[Value]:
    for key, node in block.value:
        inner = f"{path}.{key.value}"
        if isinstance(node, yaml.MappingNode) and node.value and key.value not in _WHOLE:
            yield from _values(lines, inner, node)
        else:
            yield _value(lines, inner, key, node)


def _value(lines: list[str], path: str, key: yaml.Node, node: yaml.Node) -> Value:
    default = yaml.safe_load(yaml.serialize(node))
    return Value(path, json.dumps(default), _comment(lines, key))


def _comment(lines: list[str], key: yaml.Node) -> str:
    """Return the comment lines right above a key as one text."""
    above = key.start_mark.line
    first = above
    while first > 0 and re.match(r"\s*#", lines[first - 1]):
        first -= 1
    if first == above:
        raise LookupError(f"Line {above + 1} of values.yaml needs a comment above it: {lines[above].strip()}")
    return " ".join(line.strip().removeprefix("#").strip() for line in lines[first:above])


def page(readme: str, text: str) -> str:
    """Return the README with its tables filled from the text of values.yaml."""
    parts, loose = [], []
    for comment, block in values(text):
        rows = [[f"`{value.path}`", f"`{value.default}`", value.meaning.replace("|", "\\|")] for value in block]
        if not comment:
            loose += rows
        else:
            parts.append(f"### {block[0].path.partition('.')[0]}\n\n{textwrap.fill(comment, 120)}\n\n" + _table(rows))
    return fill(readme, "values", "\n\n".join([_table(loose), *parts]))


def _table(rows: list[list[str]]) -> str:
    return table(["value", "default", "meaning"], rows)


if __name__ == "__main__":
    print(page((CHART / "README.md").read_text("utf-8"), (CHART / "values.yaml").read_text("utf-8")), end="")
