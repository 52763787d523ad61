"""Recipes: named options of all stages. Each YAML file in this folder is one recipe, a value of `v1.Recipe`.

A request names one of these recipes and overrides some of its fields. `resolve` returns the complete recipe, whose
values `limits` has checked.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import cast

import yaml
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from facefoundry.codec import JsonObject, JsonValue
from facefoundry.errors import FieldViolation, InvalidInput
from facefoundry.recipes import ranges, refused
from facefoundry.recipes.digests import complete, implied
from facefoundry.recipes.limits import violations
from facefoundry.v1 import recipe_pb2

__all__ = ["DEFAULT", "load", "names", "options", "override", "portable", "resolve"]

DEFAULT = "ffpp"

_BASE = "base"


def names() -> list[str]:
    """Return the names of all recipes, the default first."""
    found = sorted(
        entry.name.removesuffix(".yaml")
        for entry in resources.files(__name__).iterdir()
        if entry.name.endswith(".yaml")
    )
    return [DEFAULT, *(name for name in found if name != DEFAULT)]


@cache
def _shipped(name: str) -> recipe_pb2.Recipe:
    return json_format.ParseDict(_values(name), recipe_pb2.Recipe())


def _values(name: str) -> JsonObject:
    """Read the YAML file of a recipe. If it names a base, add the values that it does not override."""
    text = (resources.files(__name__) / f"{name}.yaml").read_text(encoding="utf-8")
    values: JsonObject = yaml.safe_load(text)
    base = values.pop(_BASE, None)
    return _merged(_values(str(base)), values) if base else values


def _merged(base: JsonObject, changes: JsonObject) -> JsonObject:
    merged = dict(base)
    for name, change in changes.items():
        value = base.get(name)
        merged[name] = _merged(value, change) if isinstance(value, dict) and isinstance(change, dict) else change
    return merged


def load(name: str = DEFAULT) -> recipe_pb2.Recipe:
    """Return a copy of a recipe, with all its fields.

    Raises:
        InvalidInput: there is no recipe of that name (RECIPE_UNKNOWN).
    """
    if name not in names():
        raise _invalid(
            "RECIPE_UNKNOWN", [FieldViolation("recipe.name", f"must be one of {', '.join(names())}; got {name!r}")]
        )
    copy = recipe_pb2.Recipe()
    copy.CopyFrom(_shipped(name))
    return copy


def resolve(request: recipe_pb2.Recipe) -> recipe_pb2.Recipe:
    """Return the complete recipe of a request.

    Args:
        request: Name of a recipe, and the fields to override.

    Raises:
        InvalidInput: the name is missing or unknown (RECIPE_MISSING, RECIPE_UNKNOWN), the version differs
            (RECIPE_VERSION), or values are out of range (RECIPE_RANGE, which names all of them).
    """
    if not request.name:
        required = f"is required: set it to one of {', '.join(names())}"
        raise _invalid("RECIPE_MISSING", [FieldViolation("recipe.name", required)])
    recipe = load(request.name)
    if request.HasField("version") and request.version != recipe.version:
        required = f"must be {recipe.version}, the version of {recipe.name} in this service; got {request.version!r}"
        raise _invalid("RECIPE_VERSION", [FieldViolation("recipe.version", required)])
    _merge(request, recipe)
    for level in recipe.compression.levels:
        complete(level)
    if recipe == _shipped(recipe.name):
        return recipe  # the check takes 0.1 s at first
    wrong = list(violations(recipe))
    if wrong:
        raise _invalid("RECIPE_RANGE", wrong)
    return recipe


def portable(recipe: recipe_pb2.Recipe) -> recipe_pb2.Recipe:
    """Return the request for a complete recipe that services of an earlier version take too, where they can.

    A field is left out if its value and that of the shipped recipe are the implied one. A service that knows the field
    then takes this value from the recipe, and one that does not know it computes the same. Every other field stays, so
    a service that does not know it refuses the request.
    """
    request = recipe_pb2.Recipe()
    request.CopyFrom(recipe)
    shipped = _shipped(recipe.name)
    _leave_out_implied(request.extraction, shipped.extraction)
    _leave_out_implied(request.training, shipped.training)
    _leave_out_implied(request.conversion, shipped.conversion)
    for level in request.compression.levels:
        _leave_out_implied(level, level)  # `resolve` completes levels from nothing else
    return request


def _leave_out_implied(message: Message, shipped: Message) -> None:
    for name, value in implied(message).items():
        if getattr(message, name) == getattr(shipped, name) == value:
            message.ClearField(name)


def override(request: recipe_pb2.Recipe, assignment: str) -> None:
    """Set a field of a recipe from text.

    Args:
        request: The recipe to change.
        assignment: Field and value, such as `training.batch_size=32` or `conversion.frame_ranges=10-50,80-90`.

    Raises:
        InvalidInput: the field is unknown or is an option of FF++ that is not supported, or the value has another type.
    """
    path, equals, text = assignment.partition("=")
    try:
        if not equals or not path:
            raise ValueError("expected <group>.<field>=<value>, such as training.iterations=3000")
        are_ranges = path == ranges.FIELD and not text.lstrip().startswith("[")
        values: JsonValue = cast("JsonValue", ranges.parse(text)) if are_ranges else yaml.safe_load(text)
        if values is None:
            raise ValueError("expected a value after =")
        for segment in reversed(path.split(".")):
            values = {segment: values}
        _check_names(values, recipe_pb2.Recipe.DESCRIPTOR, "")
        update = json_format.ParseDict(cast("JsonObject", values), recipe_pb2.Recipe())
    except (ValueError, json_format.ParseError, yaml.YAMLError) as error:
        raise _invalid("RECIPE_FIELD", [FieldViolation(f"recipe.{path}", str(error))]) from error
    _merge(update, request)


def options(message: Message) -> JsonObject:
    """Return the fields that are set in a recipe or in one of its messages, as JSON values by field name."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def _merge(update: Message, target: Message) -> None:
    """Copy the fields that are set in `update` to `target`. A repeated field is replaced, not appended to."""
    for field, value in update.ListFields():
        if field.is_repeated:
            target.ClearField(field.name)
            getattr(target, field.name).extend(value)
        elif field.message_type is not None:
            getattr(target, field.name).SetInParent()
            _merge(value, getattr(target, field.name))
        else:
            setattr(target, field.name, value)


def _check_names(values: JsonValue, descriptor: Descriptor, path: str) -> None:
    """Raise InvalidInput if a name in nested JSON values is not a field of the message."""
    for name, value in values.items() if isinstance(values, dict) else ():
        field = descriptor.fields_by_name.get(name) or descriptor.fields_by_camelcase_name.get(name)
        if field is None:
            raise _unknown(f"{path}{name}")
        for item in value if isinstance(value, list) else [value]:
            if field.message_type is not None:
                _check_names(item, field.message_type, f"{path}{name}.")


def _unknown(path: str) -> InvalidInput:
    """Return the error about an unknown field.

    It explains why an option of FF++ is not supported, or proposes a field with a similar name.
    """
    last = path.rpartition(".")[2]
    option = refused.for_field(last)
    if option is not None:
        sentence = option.sentence().removesuffix(".")
        return _invalid("OPTION_REFUSED", [FieldViolation(f"recipe.{path}", f"cannot be set: {sentence}")])
    known = list(_paths(recipe_pb2.Recipe.DESCRIPTOR, ""))
    words = {field.rpartition(".")[2] for field in known}
    similar = words.intersection((last, *last.split("_"))) or difflib.get_close_matches(last, sorted(words), n=1)
    proposals = [field for field in known if field.rpartition(".")[2] in similar]
    hint = f"did you mean {' or '.join(proposals)}?" if proposals else "fields look like training.iterations"
    return _invalid("RECIPE_FIELD", [FieldViolation(f"recipe.{path}", f"is not a field of a recipe; {hint}")])


def _paths(descriptor: Descriptor, prefix: str) -> Iterator[str]:
    for field in descriptor.fields:
        yield prefix + field.name
        if field.message_type is not None:
            yield from _paths(field.message_type, f"{prefix}{field.name}.")


def _invalid(reason: str, violations: list[FieldViolation]) -> InvalidInput:
    listed = "; ".join(f"{violation.field} {violation.description}" for violation in violations)
    return InvalidInput(f"The recipe is invalid: {listed.removesuffix('?')}.", reason=reason, violations=violations)
