"""Dataclasses to JSON and back: the one codec of messages between processes and of documents in the bucket.

Every field is checked when a document is read, so a wrong one is an error that names it, not a KeyError later.
Fields that this version does not know are ignored; fields that are missing take the dataclass's default.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import JsonValue, TypeAdapter, ValidationError

from facefoundry.errors import DataLoss

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["JsonObject", "JsonValue", "from_json", "from_values", "to_json", "to_standard_json", "to_values"]

JsonObject = dict[str, JsonValue]
"""A JSON object whose fields are known only to its reader, such as the options of a recipe."""

T = TypeVar("T", bound="DataclassInstance")


def to_values(document: DataclassInstance) -> JsonObject:
    """Convert a dataclass to JSON values."""
    values: JsonObject = _adapter(type(document)).dump_python(document, mode="json")
    return values


def to_json(document: DataclassInstance) -> bytes:
    """Convert a dataclass to one line of JSON, which `from_json` reads as an equal dataclass."""
    return json.dumps(to_values(document)).encode()


def to_standard_json(document: DataclassInstance) -> bytes:
    """Convert a dataclass to one line of JSON for other programs: NaN and infinity, which JSON lacks, become null."""
    return _adapter(type(document)).dump_json(document)


def from_values(kind: type[T], values: Mapping[str, object]) -> T:
    """Read a dataclass from JSON values.

    Raises:
        DataLoss: a field is missing or has another type; the message names every such field (BAD_DOCUMENT).
    """
    return from_json(kind, json.dumps(values))


def from_json(kind: type[T], text: bytes | str) -> T:
    """Read a dataclass from JSON text.

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
        raise DataLoss(f"Expected a {kind.__name__} as JSON. Wrong fields: {wrong}", reason="BAD_DOCUMENT") from error


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
