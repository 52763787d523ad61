"""Messages that a child sends its parent, and their JSON: an object with one key, the kind of message."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from facefoundry import codec
from facefoundry.codec import JsonObject, JsonValue
from facefoundry.errors import DataLoss
from facefoundry.v1 import common_pb2

__all__ = ["Message", "PartsReady", "Progress", "Result", "Resumed", "decode", "encode"]

Info = TypeVar("Info")


@dataclass(frozen=True)
class Progress:
    """How far a stage has come.

    Attributes:
        stage: One lower-case word, such as `convert`.
        done: Units that are done.
        total: Units in all; 0 while unknown.
        unit: What is counted, `frames` or `bytes`.
    """

    stage: str
    done: int
    total: int
    unit: str = "frames"

    def to_proto(self) -> common_pb2.Progress:
        """Return the message of the API."""
        return common_pb2.Progress(stage=self.stage, done=self.done, total=self.total, unit=self.unit)


@dataclass(frozen=True)
class Resumed:
    """Which finished parts of an earlier call the child reuses; sent before any part."""

    parts: tuple[str, ...]


@dataclass(frozen=True)
class PartsReady:
    """Parts that lie under their names in the workspace's folder `made`; those of one message belong together."""

    parts: tuple[str, ...]


@dataclass(frozen=True)
class Result(Generic[Info]):
    """What the child found out; the last message.

    Attributes:
        info: Facts about the result.
        content_digest: SHA-256 over the decoded content, 64 hex digits; empty where nothing is stored.
        versions: Software that made it.
        frames: Number of frames by outcome, such as `SWAPPED` or `NO_FACE`, for the metrics.
    """

    info: Info
    content_digest: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    frames: dict[str, int] = field(default_factory=dict)


Message: TypeAlias = Progress | Resumed | PartsReady | Result[Info]

_TAGS = {Progress: "progress", Resumed: "resumed", PartsReady: "parts", Result: "result"}


def encode(message: Message[Info]) -> JsonObject:
    """Convert a message to JSON values."""
    return {_TAGS[type(message)]: codec.to_values(message)}


def decode(values: JsonValue, info: type[Info]) -> Message[Info]:
    """Read a message from JSON values.

    Args:
        values: What `encode` returned.
        info: Type of a result's facts.

    Raises:
        DataLoss: the values are no message; names the wrong fields (BAD_DOCUMENT, BAD_MESSAGE).
    """
    match values:
        case {"progress": dict() as fields}:
            return codec.from_values(Progress, fields)
        case {"resumed": dict() as fields}:
            return codec.from_values(Resumed, fields)
        case {"parts": dict() as fields}:
            return codec.from_values(PartsReady, fields)
        case {"result": dict() as fields}:
            return codec.from_values(Result[info], fields)  # type: ignore[valid-type]  # a type known at run time
    kinds = ", ".join(sorted(_TAGS.values()))
    raise DataLoss(f"Expected an object with one of the keys {kinds}.", reason="BAD_MESSAGE")
