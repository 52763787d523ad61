"""The chart's README: its tables are the values, their defaults and their comments."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from helm.readme import CHART, Value, page, values

README = (CHART / "README.md").read_text()
VALUES = (CHART / "values.yaml").read_text()


def _get(path: str) -> Any:
    node = yaml.safe_load(VALUES)
    for key in path.split("."):
        node = node[key]
    return node


def test_the_tables_are_current():
    assert page(README, VALUES) == README, "run `make generate`"


def test_every_value_is_listed_once_with_its_default():
    listed = [value for _, block in values(VALUES) for value in block]
    assert len({value.path for value in listed}) == len(listed)
    for value in listed:
        assert json.loads(value.default) == _get(value.path), value.path

    def leaves(node: Any, path: str) -> set[str]:
        if isinstance(node, dict) and node and path not in {value.path for value in listed}:
            return {leaf for key, inner in node.items() for leaf in leaves(inner, f"{path}.{key}".lstrip("."))}
        return {path}

    assert leaves(yaml.safe_load(VALUES), "") == {value.path for value in listed}


def test_comments_of_several_lines_are_one_text_and_open_maps_are_one_value():
    text = "# A block.\nb:\n  # First\n  # second.\n  labels:\n    a: 1\n  # Inner.\n  c:\n    # Leaf.\n    d: []\n"
    assert list(values(text)) == [
        ("A block.", [Value("b.labels", '{"a": 1}', "First second."), Value("b.c.d", "[]", "Leaf.")])
    ]


def test_a_value_without_a_comment_is_refused():
    with pytest.raises(LookupError, match=r"Line 3 .*b: 1"):
        list(values("# Block.\na:\n  b: 1\n"))
