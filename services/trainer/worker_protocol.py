"""How trainer and worker communicate: JSON documents in the bucket, the exit code and the exit report.

Below `trainings/<digest>/`, the trainer writes `attempt.json` for the worker, the worker writes `status.json` for
everybody, and the trainer writes `outcomes/<n>.json`, how attempt n ended. The worker's supervisor reads its exit code.
The exit report, one line of JSON in the termination message, gives the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from enum import IntEnum
from typing import Any, Literal, TypeVar

from google.protobuf import json_format
from pydantic import TypeAdapter, ValidationError

from facefoundry.errors import DataLoss, FaceFoundryError, InvalidInput
from facefoundry.storage import document, keys
from facefoundry.v1.recipe_pb2 import TrainingOptions

__all__ = [
    "ExitCode",
    "Preview",
    "Outcome",
    "Attempt",
    "Status",
    "ExitReport",
    "checkpoints_prefix",
    "from_json",
    "now",
    "outcome_key",
    "outcomes_prefix",
    "attempt_key",
    "status_key",
    "to_json",
    "training_digest",
]


class ExitCode(IntEnum):
    """How a worker ends; every other code is a crash."""

    # The model's manifest is written.
    DONE = 0
    # The input or the recipe is at fault: another run would end the same.
    BAD_INPUT = 65
    # Stopped on the way; a later run goes on from the newest checkpoint.
    INTERRUPTED = 75


@dataclass(frozen=True)
class Attempt:
    """One attempt at a training.

    Attributes:
        training: Digest of the training.
        attempt: Number of the attempt, from 1.
        pair_id: `<A>_<B>`.
        dataset: Label to list by; may be empty.
        extraction_a: Prefix of A's extraction.
        extraction_b: Prefix of B's extraction.
        options: Training options as `recipes.options` gives them, iterations included.
        iterations: Iterations in all.
        created: UTC time, ISO 8601.
    """

    training: str
    attempt: int
    pair_id: str
    dataset: str
    extraction_a: str
    extraction_b: str
    options: dict[str, Any]
    iterations: int
    created: str

    @property
    def prefix(self) -> str:
        """Prefix of the training."""
        return keys.training(self.training)

    @property
    def model_prefix(self) -> str:
        """Prefix of the model it makes."""
        return keys.model(self.training, self.iterations)

    def training_options(self) -> TrainingOptions:
        """The options as the recipe's message.

        Raises:
            InvalidInput: they are none.
        """
        try:
            return json_format.ParseDict(self.options, TrainingOptions())
        except json_format.ParseError as error:
            raise InvalidInput(f"The request's options are not training options: {error}", reason="REQUEST") from error


@dataclass(frozen=True)
class Preview:
    """One preview picture: after which iteration, and the JPEG's key."""

    iteration: int
    key: str


@dataclass(frozen=True)
class Status:
    """How far a worker has come.

    Attributes:
        attempt: Number of the attempt.
        worker: Unique id of the worker process or pod.
        iteration: Iterations done.
        iterations: Iterations asked for.
        iterations_per_second: Over the last report; 0 while unknown.
        eta_seconds: Time left at that speed; 0 while unknown.
        losses: Rows (iteration, loss A, loss B), means over the stretch up to that iteration, at most 500.
        checkpoint_iteration: Iteration of the newest committed checkpoint; 0 when none.
        previews: Preview pictures so far.
        updated: UTC time of this report, ISO 8601.
    """

    attempt: int
    worker: str
    iteration: int
    iterations: int
    iterations_per_second: float = 0.0
    eta_seconds: float = 0.0
    losses: tuple[tuple[int, float, float], ...] = ()
    checkpoint_iteration: int = 0
    previews: tuple[Preview, ...] = ()
    updated: str = field(default_factory=lambda: now())


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended; it outlives the job.

    Attributes:
        attempt: Number of the attempt.
        state: How it ended.
        reason: UPPER_SNAKE reason of a failure, else empty.
        message: A sentence about it, else empty.
        iteration: Iterations done.
        ended: UTC time, ISO 8601.
    """

    attempt: int
    state: Literal["SUCCEEDED", "FAILED", "CANCELLED"]
    reason: str = ""
    message: str = ""
    iteration: int = 0
    ended: str = field(default_factory=lambda: now())


@dataclass(frozen=True)
class ExitReport:
    """A worker's last words, one JSON line.

    Attributes:
        reason: UPPER_SNAKE; `DONE` when the model is committed.
        message: A sentence.
        iteration: Iterations done.
    """

    reason: str
    message: str
    iteration: int = 0

    @classmethod
    def of(cls, error: FaceFoundryError, iteration: int) -> ExitReport:
        """Say an error."""
        return cls(error.reason, error.message, iteration)


T = TypeVar("T", Attempt, Status, Outcome, ExitReport)


def to_json(value: Attempt | Status | Outcome | ExitReport) -> bytes:
    """Write one of the dataclasses above as JSON: last words as a line, what goes to the bucket with its digest."""
    if isinstance(value, ExitReport):
        return TypeAdapter(type(value)).dump_json(value)
    return document.to_bytes(asdict(value))


def from_json(kind: type[T], data: bytes) -> T:
    """Read one of the dataclasses above.

    Raises:
        InvalidInput: the bytes are not such a record.
    """
    try:
        if kind is ExitReport:
            return TypeAdapter(kind).validate_json(data)
        return TypeAdapter(kind).validate_python(document.from_bytes(data))
    except DataLoss as error:
        raise InvalidInput(
            f"Expected a {kind.__name__} as JSON. Received something else: {error.message}.", reason="REQUEST"
        ) from error
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'the whole'}: {problem['msg']}"
            for problem in error.errors()
        )
        raise InvalidInput(
            f"Expected a {kind.__name__} as JSON. Received another text: {wrong}", reason="REQUEST"
        ) from error


def training_digest(content_a: str, content_b: str, options: Mapping[str, Any], version: str) -> str:
    """Digest of a training; iterations are not part of it, so that more of them go on from fewer."""
    fixed = {name: value for name, value in options.items() if name != "iterations"}
    return keys.digest_of({"a": content_a, "b": content_b, "options": fixed, "version": version})


def attempt_key(prefix: str) -> str:
    """Key of a training's request."""
    return f"{prefix}/attempt.json"


def status_key(prefix: str) -> str:
    """Key of a training's status."""
    return f"{prefix}/status.json"


def outcome_key(prefix: str, attempt: int) -> str:
    """Key of an attempt's terminal record; each has its own, so that no late writer hides a newer attempt's."""
    return f"{outcomes_prefix(prefix)}/{attempt}.json"


def outcomes_prefix(prefix: str) -> str:
    """Prefix of the terminal records of all attempts of a training."""
    return f"{prefix}/outcomes"


def checkpoints_prefix(prefix: str) -> str:
    """Prefix of all checkpoints of a training."""
    return f"{prefix}/checkpoints"


def now() -> str:
    """UTC time, ISO 8601 with microseconds."""
    return datetime.now(timezone.utc).isoformat()
