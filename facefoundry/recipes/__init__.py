"""Recipes: the YAML files beside this module are values of `v1.Recipe`; there is no second schema.

A request names a shipped recipe and overrides fields of it; `resolve` makes the whole of it, which `limits` judges.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

import yaml
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from facefoundry.errors import FieldViolation, InvalidInput
from facefoundry.recipes import ranges, refused
from facefoundry.recipes.limits import violations
from facefoundry.v1 import recipe_pb2

__all__ = ["DEFAULT", "load", "names", "options", "override", "resolve"]

DEFAULT = "ffpp"

_UNKNOWN_NUMBER = "is a field that this version does not know; ask a service of the client's version, or leave it out"


def names() -> list[str]:
    """Names of the shipped recipes, the default first."""
    found = sorted(
        entry.name.removesuffix(".yaml")
        for entry in resources.files(__name__).iterdir()
        if entry.name.endswith(".yaml")
    )
    return [DEFAULT, *(name for name in found if name != DEFAULT)]


@cache
def _read(name: str) -> recipe_pb2.Recipe:
    text = (resources.files(__name__) / f"{name}.yaml").read_text(encoding="utf-8")
    return json_format.ParseDict(yaml.safe_load(text), recipe_pb2.Recipe())


def load(name: str = DEFAULT) -> recipe_pb2.Recipe:
    """A shipped recipe, every field set.

    Raises:
        InvalidInput: there is none of that name.
    """
    if name not in names():
        raise _invalid(
            "RECIPE_UNKNOWN", [FieldViolation("recipe.name", f"must be one of {', '.join(names())}; got {name!r}")]
        )
    copy = recipe_pb2.Recipe()
    copy.CopyFrom(_read(name))
    return copy


def resolve(request: recipe_pb2.Recipe) -> recipe_pb2.Recipe:
    """The whole recipe that a request's name and overrides mean.

    Raises:
        InvalidInput: the name or a field is unknown, the version differs, or values are out of range; all of them are
            named.
    """
    unknown = [FieldViolation(path, _UNKNOWN_NUMBER) for path in _unknown_numbers(request, "recipe")]
    if unknown:
        raise _invalid("RECIPE_FIELD", unknown)
    recipe = load(request.name or DEFAULT)
    if request.HasField("version") and request.version != recipe.version:
        raise _invalid(
            "RECIPE_VERSION",
            [
                FieldViolation(
                    "recipe.version", f"this service has {recipe.name} {recipe.version}, got {request.version!r}"
                )
            ],
        )
    _merge(request, recipe)
    wrong = list(violations(recipe))
    if wrong:
        raise _invalid("RECIPE_RANGE", wrong)
    return recipe


def override(request: recipe_pb2.Recipe, assignment: str) -> None:
    """Set one field of a request from text such as `training.batch_size=32` or `conversion.frame_ranges=10-50,80-90`.

    Raises:
        InvalidInput: there is no such field, the original had it but it is not here, or the value does not fit it.
    """
    path, equals, text = assignment.partition("=")
    try:
        if not equals or not path:
            raise ValueError("expected <stage>.<field>=<value>, such as training.iterations=3000")
        written = path == ranges.FIELD and not text.lstrip().startswith("[")
        record: Any = ranges.parse(text) if written else yaml.safe_load(text)
        if record is None:
            raise ValueError("expected a value behind =")
        for segment in reversed(path.split(".")):
            record = {segment: record}
        _check_names(record, recipe_pb2.Recipe.DESCRIPTOR, "")
        update = json_format.ParseDict(record, recipe_pb2.Recipe())
    except (ValueError, json_format.ParseError, yaml.YAMLError) as error:
        raise _invalid("RECIPE_FIELD", [FieldViolation(f"recipe.{path}", str(error))]) from error
    _merge(update, request)


def options(message: Message) -> dict[str, Any]:
    """The set fields of a recipe message as JSON values, in the proto's names; what digests are made of."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def _merge(update: Message, target: Message) -> None:
    """Merge like protobuf does, but a repeated field replaces instead of appending."""
    for field, value in update.ListFields():
        if field.is_repeated:
            target.ClearField(field.name)
            getattr(target, field.name).extend(value)
        elif field.message_type is not None:
            getattr(target, field.name).SetInParent()
            _merge(value, getattr(target, field.name))
        else:
            setattr(target, field.name, value)


def _check_names(record: Any, descriptor: Descriptor, path: str) -> None:
    """Refuse names in nested JSON values that the message does not have, with the reason or a proposal."""
    for name, value in record.items() if isinstance(record, dict) else ():
        field = descriptor.fields_by_name.get(name) or descriptor.fields_by_camelcase_name.get(name)
        if field is None:
            raise _unknown(f"{path}{name}")
        for item in value if isinstance(value, list) else [value]:
            if field.message_type is not None:
                _check_names(item, field.message_type, f"{path}{name}.")


def _unknown(path: str) -> InvalidInput:
    row = refused.field(path.rpartition(".")[2])
    if row is not None:
        return _invalid(
            "OPTION_REFUSED", [FieldViolation(f"recipe.{path}", f"cannot be set: {row.sentence().removesuffix('.')}")]
        )
    last = path.rpartition(".")[2]
    known = list(_paths(recipe_pb2.Recipe.DESCRIPTOR, ""))
    words = {one.rpartition(".")[2] for one in known}
    like = words.intersection((last, *last.split("_"))) or difflib.get_close_matches(last, sorted(words), n=1)
    near = [one for one in known if one.rpartition(".")[2] in like]
    hint = f"did you mean {' or '.join(near)}" if near else "fields are such as training.iterations, conversion.mask"
    return _invalid("RECIPE_FIELD", [FieldViolation(f"recipe.{path}", f"is no field of a recipe; {hint}")])


def _paths(descriptor: Descriptor, prefix: str) -> Iterator[str]:
    for field in descriptor.fields:
        yield prefix + field.name
        if field.message_type is not None:
            yield from _paths(field.message_type, f"{prefix}{field.name}.")


def _unknown_numbers(message: Message, path: str) -> Iterator[str]:
    """Fields that a newer client set: to leave them out silently would give something else than was asked for."""
    unknown: Any = UnknownFieldSet(message)
    yield from (f"{path}.{field.field_number}" for field in unknown)
    for field, value in message.ListFields():
        if field.message_type is not None:
            for item in value if field.is_repeated else [value]:
                yield from _unknown_numbers(item, f"{path}.{field.name}")


def _invalid(reason: str, violations: list[FieldViolation]) -> InvalidInput:
    listed = "; ".join(f"{violation.field} {violation.description}" for violation in violations)
    return InvalidInput(f"The recipe cannot be used: {listed}.", reason=reason, violations=violations)
