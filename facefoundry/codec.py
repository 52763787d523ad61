"""Converts dataclasses to JSON and back, for messages between processes and for documents in the bucket.

Reading checks every field: a wrong field raises an error that names it. Fields that this version does not know are
ignored. A missing field gets the default of the dataclass; without a default it is an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import Field, JsonValue, TypeAdapter, ValidationError

from facefoundry.errors import DataLoss

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["Count", "JsonObject", "JsonValue", "from_json", "from_values", "to_json", "to_standard_json", "to_values"]

JsonObject = dict[str, JsonValue]
"""A JSON object of any fields, such as the options of a recipe."""

Count = Annotated[int, Field(ge=0, lt=2**31)]
"""A number that is not negative and that an int32 of the API can hold."""

T = TypeVar("T", bound="DataclassInstance")


def to_values(document: DataclassInstance) -> JsonObject:
    """Convert a dataclass to JSON values."""
    values: JsonObject = _adapter(type(document)).dump_python(document, mode="json")
    return values


def to_json(document: DataclassInstance) -> bytes:
    """Convert a dataclass to one line of JSON; `from_json` reads it back as an equal dataclass."""
    return json.dumps(to_values(document)).encode()


def to_standard_json(document: DataclassInstance) -> bytes:
    """Convert a dataclass to one line of JSON for other programs. NaN and infinity become null, as JSON has neither."""
    return _adapter(type(document)).dump_json(document)


def from_values(kind: type[T], values: Mapping[str, object]) -> T:
    """Read a dataclass from JSON values.

    Args:
        kind: The dataclass.
        values: The values of its fields, by name.

    Raises:
        DataLoss: a field is missing or has another type; the message names every such field (BAD_DOCUMENT).
    """
    return from_json(kind, json.dumps(values))


def from_json(kind: type[T], text: bytes | str) -> T:
    """Read a dataclass from JSON text.

    Args:
        kind: The dataclass.
        text: A JSON object.

    Raises:
        DataLoss: the text is not JSON, or a field is missing or has another type; the message names every such field
            (BAD_DOCUMENT).
    """
    try:
        document: T = _adapter(kind).validate_json(text, strict=True)
        return document
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'the document'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        )
        raise DataLoss(
            f"Expected the JSON of a {kind.__name__}. Wrong fields: {wrong}", reason="BAD_DOCUMENT"
        ) from error


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
