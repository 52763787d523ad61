"""What every call and every field of a request must have in the protos."""

from __future__ import annotations

from collections.abc import Iterator

from google.api import annotations_pb2, field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

from facefoundry import constraints
from facefoundry.v1 import converter_pb2, extractor_pb2, info_pb2, trainer_pb2

FILES = (extractor_pb2, trainer_pb2, converter_pb2, info_pb2)
METHODS: list[MethodDescriptor] = [
    method for file in FILES for service in file.DESCRIPTOR.services_by_name.values() for method in service.methods
]
# Any text; a recipe's version must be that of the shipped recipe.
WITHOUT_RULES = {"facefoundry.v1.Recipe.version", "facefoundry.v1.Recipe.description"}


def _fields(message: Descriptor) -> Iterator[FieldDescriptor]:
    for field in message.fields:
        yield field
        if field.message_type is not None:
            yield from _fields(field.message_type)


FIELDS = {field.full_name: field for method in METHODS for field in _fields(method.input_type)}


def test_every_field_of_a_request_says_whether_it_must_be_set():
    for name, field in FIELDS.items():
        (behavior,) = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
        assert behavior in (field_behavior_pb2.REQUIRED, field_behavior_pb2.OPTIONAL), name


def test_every_number_and_text_of_a_request_has_a_rule():
    free = {
        name
        for name, field in FIELDS.items()
        if field.message_type is None and field.type != field.TYPE_BOOL and not constraints.allowed(field)
    }
    assert free == WITHOUT_RULES


def test_every_call_has_its_own_path_for_gateways():
    paths = []
    for method in METHODS:
        rule = method.GetOptions().Extensions[annotations_pb2.http]
        paths.append(rule.get or rule.post)
        assert rule.body == ("*" if rule.post else ""), method.full_name
    assert all(path.startswith("/v1/") for path in paths)
    assert len(set(paths)) == len(paths) == 18


def test_no_name_loses_letters_in_json():
    # Node's loader drops a field whose name has a digit after an underscore.
    assert not [field.name for field in FIELDS.values() if any(word[:1].isdigit() for word in field.name.split("_"))]
