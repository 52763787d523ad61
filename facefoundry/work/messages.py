"""The messages that a sandbox sends to its service, and their JSON.

The JSON of a message is an object with one key: `progress`, `resumed`, `parts` or `result`.
"""

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
    """The progress of a call.

    Attributes:
        stage: What the call does now, one lower-case word such as `download` or `convert`.
        done: Finished units.
        total: Units in total; 0 while unknown.
        unit: What is counted, `frames` or `bytes`.
    """

    stage: str
    done: int
    total: int
    unit: str = "frames"

    def to_proto(self) -> common_pb2.Progress:
        """Convert to the `Progress` message of the gRPC API."""
        return common_pb2.Progress(stage=self.stage, done=self.done, total=self.total, unit=self.unit)


@dataclass(frozen=True)
class Resumed:
    """The names of an earlier call's finished parts that the sandbox reuses. It is sent before any `PartsReady`."""

    parts: tuple[str, ...]


@dataclass(frozen=True)
class PartsReady:
    """The names of new parts: files in the workspace's folder `made`. A later call reuses all of these or none."""

    parts: tuple[str, ...]


@dataclass(frozen=True)
class Result(Generic[Info]):
    """The last message of a sandbox function.

    Attributes:
        info: Facts about the result, such as the number of frames.
        content_digest: SHA-256 over the decoded content, 64 hex digits; empty where nothing is stored.
        versions: Versions of the software that made the result, by name.
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
        info: Dataclass of `Result.info`.

    Raises:
        DataLoss: the values are not a message (BAD_MESSAGE), or a field is wrong; the error names it (BAD_DOCUMENT).
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
