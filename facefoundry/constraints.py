"""The rules for the values of protobuf fields, as the protos annotate them: checks messages, and describes fields."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet

from facefoundry.errors import FieldViolation
from facefoundry.v1.buf.validate import validate_pb2

if TYPE_CHECKING:
    import protovalidate

__all__ = ["Violation", "allowed", "broken_rules", "unknown_fields"]

_MUST_BE, _MUST_HAVE = "must be ", "must have "
_SHORT = reprlib.Repr()
_SHORT.maxstring, _SHORT.maxlist = 120, 12
# A request of a megabyte could break rules a million times, so only the first broken rule of a large one is reported.
_SMALL_BYTES = 10_000


class Violation(NamedTuple):
    """A field that breaks a rule.

    Attributes:
        field: Path of the field, such as `recipe.compression.levels[0].crf`.
        rule: Id of the rule: one of this project, such as `sequence_id`; or `required`, or one of protovalidate with a
            dot, such as `int32.gte_lte`.
        requirement: What the rule requires, such as "must be from 0 to 51".
        received: The value as text.
    """

    field: str
    rule: str
    requirement: str
    received: str

    def to_field(self) -> FieldViolation:
        """Return the field and its description, such as "must be from 0 to 51; got 52"."""
        return FieldViolation(self.field, f"{self.requirement}; got {self.received}")

    def sentence(self) -> str:
        """Return what was expected and what was received."""
        required = self.requirement.replace("must ", "to ", 1)
        return f"Expected {self.field} {required}. Received {self.received}."


def broken_rules(message: Message, path: str = "") -> list[Violation]:
    """Return every broken rule of a message; of a large message only the first.

    A required message that is not set breaks the rules that it would break if it were empty.

    Args:
        message: The message.
        path: Path of the message itself, which the paths of its fields begin with.
    """
    large = message.ByteSize() > _SMALL_BYTES
    found = _validator().collect_violations(message, fail_fast=large)
    return [violation for each in found for violation in _violations(each, message, path)]


def unknown_fields(message: Message, path: str = "") -> Iterator[str]:
    """Yield the paths of fields that this version does not know, by number, such as `recipe.training.99`."""
    prefix = f"{path}." if path else ""
    unknown = UnknownFieldSet(message)
    yield from (f"{prefix}{unknown[index].field_number}" for index in range(len(unknown)))
    for field, value in message.ListFields():
        if field.message_type is not None:
            items = enumerate(value) if field.is_repeated else [(None, value)]
            for index, item in items:
                yield from unknown_fields(item, prefix + _segment(field.name, index))


def allowed(field: FieldDescriptor) -> str:
    """Return the allowed values of a field, such as "from 0 to 51"; empty if it has no rules."""
    return _requirement(_rules(field)).removeprefix(_MUST_BE).removeprefix(_MUST_HAVE)


@cache
def _validator() -> protovalidate.Validator:
    import protovalidate  # takes 50 ms, and most commands check nothing

    return protovalidate.Validator()


def _violations(found: protovalidate.Violation, message: Message, path: str) -> list[Violation]:
    fields = message.DESCRIPTOR.fields_by_name
    field: FieldDescriptor | None = None
    indexed = False
    for element in found.proto.field.elements if found.proto.field else ():
        if element.field_name not in fields:
            path = f"{path}.{element.field_name}" if path else element.field_name
            known = cast("Iterable[FieldDescriptor]", fields.values())
            return [Violation(path, "required", f"must have {_one_of(known, element.field_name)}", "none")]
        field = cast("FieldDescriptor", fields[element.field_name])
        fields = field.message_type.fields_by_name if field.message_type else fields
        indexed = element.subscript is not None
        segment = _segment(element.field_name, element.subscript.value if element.subscript else None)
        path = f"{path}.{segment}" if path else segment
    rule, required = found.proto.rule_id, found.proto.message
    if field is None:
        return [Violation(path, rule, required, "a message without")]
    if rule == "required" and field.message_type is not None and not field.is_repeated:
        inside = broken_rules(GetMessageClass(field.message_type)(), path)
        if inside:
            return inside
    if rule == "required" or "." in rule:
        rules = _rules(field)
        required = _requirement(rules.repeated.items if indexed else rules)
    return [Violation(path, rule, required, "nothing" if rule == "required" else _shown(found.field_value, field))]


def _one_of(fields: Iterable[FieldDescriptor], oneof: str) -> str:
    """Return the fields of which one must be set, such as "one of rule, point, picture"."""
    choices = {field.name: field.containing_oneof for field in fields}
    names = [name for name, choice in choices.items() if choice is not None and choice.name == oneof]
    return f"one of {', '.join(names)}"


def _segment(name: str, index: object) -> str:
    return name if index is None else f"{name}[{index}]"


def _rules(field: FieldDescriptor) -> validate_pb2.FieldRules:
    rules: validate_pb2.FieldRules = field.GetOptions().Extensions[validate_pb2.field]
    return rules


def _requirement(rules: validate_pb2.FieldRules) -> str:
    if rules.cel:
        return rules.cel[0].message
    kind = rules.WhichOneof("type")
    if kind is None:
        return "must be set" if rules.required else ""
    values: Message = getattr(rules, kind)
    limits = {}
    for limit, value in values.ListFields():
        if limit.is_extension:
            return str(limit.GetOptions().Extensions[validate_pb2.predefined].cel[0].message)
        limits[limit.name] = value
    if "in" in limits:
        return f"{_MUST_BE}one of {', '.join(map(str, limits['in']))}"
    if isinstance(values, validate_pb2.RepeatedRules):
        items = _requirement(values.items).replace(_MUST_BE, ", each ", 1)
        return f"{_MUST_HAVE}{_between(limits.get('min_items'), limits.get('max_items'))} values{items}"
    if isinstance(values, validate_pb2.StringRules):
        return f"{_MUST_HAVE}{_between(limits.get('min_len'), limits.get('max_len'))} characters"
    low, high = _number(limits.get("gte")), _number(limits.get("lte"))
    return f"{_MUST_BE}from {low} to {high}" if high else f"{_MUST_BE}at least {low}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)


def _between(low: int | None, high: int | None) -> str:
    return f"at most {high}" if low is None else f"{low} to {high}"


def _shown(value: object, field: FieldDescriptor) -> str:
    """Return a value as text, shortened if it is long: an enum value by its name, a list of messages by its length."""
    if field.enum_type is not None and isinstance(value, int) and value in field.enum_type.values_by_number:
        return str(field.enum_type.values_by_number[value].name)
    if field.message_type is not None and isinstance(value, Sequence):
        return str(len(value))
    return _SHORT.repr(value)
