"""The codec of typed documents."""

import json
import math
from dataclasses import dataclass, field
from typing import Literal

import pytest

from facefoundry import codec
from facefoundry.errors import DataLoss


@dataclass(frozen=True)
class Inner:
    number: int
    ratio: float = 0.5


@dataclass(frozen=True)
class Outer:
    kind: Literal["a", "b"]
    inner: Inner
    rows: tuple[tuple[int, float], ...] = ()
    named: dict[str, Inner] = field(default_factory=dict)
    comment: str | None = None


DOCUMENT = Outer("a", Inner(3), ((1, 2.5), (2, math.inf)), {"x": Inner(4, 1.0)})


def test_a_document_is_the_same_after_writing_and_reading():
    assert codec.from_json(Outer, codec.to_json(DOCUMENT)) == DOCUMENT
    assert codec.from_values(Outer, codec.to_values(DOCUMENT)) == DOCUMENT


def test_defaults_fill_in_and_unknown_fields_are_ignored():
    assert codec.from_json(Outer, b'{"kind": "b", "inner": {"number": 1}, "later": 1}') == Outer("b", Inner(1))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "the document"),
        ("[]", "the document"),
        ('{"kind": "a"}', "inner: Field required"),
        ('{"kind": "c", "inner": {"number": 1}}', "kind"),
        ('{"kind": "a", "inner": {"number": "1"}}', "inner.number"),
        ('{"kind": "a", "inner": {"number": 1}, "rows": [[1]]}', "rows.0.1"),
        ('{"kind": "a", "inner": {"number": 1}, "named": {"x": {}}}', "named.x.number"),
    ],
)
def test_a_wrong_field_is_an_error_that_names_it(text, named):
    with pytest.raises(DataLoss, match=named) as caught:
        codec.from_json(Outer, text)
    assert caught.value.reason == "BAD_DOCUMENT"
    assert "Outer" in caught.value.message


def test_json_for_other_programs_has_null_for_what_json_lacks():
    assert json.loads(codec.to_standard_json(DOCUMENT))["rows"] == [[1, 2.5], [2, None]]
