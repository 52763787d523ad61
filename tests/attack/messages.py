"""Messages of every method of the contract, made from their descriptors by a seeded generator, as bytes.

Most fields get values that their types allow and their rules may not; some messages are damaged as bytes. Every value
is short of the largest request.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeAlias

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from facefoundry.v1 import converter_pb2, extractor_pb2, info_pb2, trainer_pb2

__all__ = ["SERVICES", "Method", "damaged", "made", "methods"]

Method: TypeAlias = tuple[str, str, Descriptor, bool]
"""Name of the service, path of the method, its request, and whether it streams its responses."""

SERVICES = {
    "extractor": extractor_pb2.DESCRIPTOR.services_by_name["ExtractorService"],
    "trainer": trainer_pb2.DESCRIPTOR.services_by_name["TrainerService"],
    "converter": converter_pb2.DESCRIPTOR.services_by_name["ConverterService"],
}
_INFO = info_pb2.DESCRIPTOR.services_by_name["InfoService"]

_TEXTS = (
    *("", "a", "033", "033_097", "preview", "ffpp", "dlib", "raw", "unstated", "033.mp4", "0" * 64),
    *("../../etc/passwd", "s3://", "s3://x", "s3://attacked/", "s3://other/sources/" + "1" * 40, "file:///etc/passwd"),
    *("s3://attacked/../sources/x", "s3://attacked/uploads/" + "x" * 900, "http://127.0.0.1:1/", "[red]markup[/]"),
    *("\0", "\x1b[2J", "\u202e", "\ud7ff", "ü" * 300, "x" * 5_000, "x" * 100_000, "%s%n", "{}", "null", "-1", "1e999"),
)
_FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-320, 1e308, float("inf"), float("-inf"), float("nan"))
_WHOLE = (0, 1, 2, 3, 25, 64, 256, 1000, -1, 2**31 - 1, -(2**31), 2**32 - 1, 2**53, 2**63 - 1, -(2**63), 2**64 - 1)
_BITS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_MAX_DEPTH = 5


def methods() -> list[Method]:
    """Return all methods of all services; each service has those of InfoService too."""
    return [
        (name, f"/{service.full_name}/{method.name}", method.input_type, method.server_streaming)
        for name, own in SERVICES.items()
        for service in (own, _INFO)
        for method in service.methods
    ]


def made(random: Random, kind: Descriptor, known: Sequence[str], depth: int = 0) -> Message:
    """Return a message of a kind.

    Args:
        random: Chooses everything.
        kind: Descriptor of the message.
        known: Texts that occur in valid requests, such as URIs of stored objects.
        depth: How deep the message is in another.
    """
    message = message_factory.GetMessageClass(kind)()
    for each in kind.fields:
        if random.random() < (0.7 if depth < 2 else 0.4):
            _set(random, message, each, known, depth)
    return message


def _set(random: Random, message: Message, each: FieldDescriptor, known: Sequence[str], depth: int) -> None:
    if each.message_type is not None:
        if depth >= _MAX_DEPTH:
            return
        if each.is_repeated:
            for _ in range(random.choice((0, 1, 2, 2, 1200))):
                getattr(message, each.name).add().MergeFrom(made(random, each.message_type, known, depth + 1))
        else:
            getattr(message, each.name).CopyFrom(made(random, each.message_type, known, depth + 1))
    elif each.is_repeated:
        count = random.choice((0, 1, 2, 5, 2000))
        getattr(message, each.name).extend([_value(random, each, known) for _ in range(count)])
    else:
        setattr(message, each.name, _value(random, each, known))


def _value(random: Random, each: FieldDescriptor, known: Sequence[str]) -> object:
    match each.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING if each.type == FieldDescriptor.TYPE_BYTES:
            return random.randbytes(random.choice((0, 1, 40, 5_000)))
        case FieldDescriptor.CPPTYPE_STRING:
            return random.choice(known) if random.random() < 0.6 else random.choice(_TEXTS)
        case FieldDescriptor.CPPTYPE_BOOL:
            return random.random() < 0.5
        case FieldDescriptor.CPPTYPE_ENUM:
            return random.choice([*(value.number for value in each.enum_type.values), 99, -1])
        case FieldDescriptor.CPPTYPE_DOUBLE:
            return random.choice(_FLOATS)
        case FieldDescriptor.CPPTYPE_FLOAT:
            return random.choice([value for value in _FLOATS if abs(value) < 1e30 or value != value])
        case kind:
            low, high = _BITS[kind]
            return random.choice([value for value in _WHOLE if low <= value <= high])


def damaged(random: Random, data: bytes) -> bytes:
    """Return bytes with a few changes: bits flipped, a slice cut out, doubled, or put in."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8))):
        place = random.randrange(len(changed) + 1)
        match random.randrange(4):
            case 0 if place < len(changed):
                changed[place] ^= 1 << random.randrange(8)
            case 1:
                del changed[place : place + random.choice((1, 4, 100))]
            case 2:
                changed[place:place] = changed[place : place + random.choice((1, 16, 200))]
            case _:
                changed[place:place] = random.randbytes(random.choice((1, 3, 30)))
    return bytes(changed)
