"""The exceptions of this project. `facefoundry.rpc.status` converts them to gRPC statuses and back.

FaceFoundryError
├── InvalidInput       the request is wrong; the error names the fields
├── NotFound           an object that the request refers to does not exist
├── Unusable           the input exists but cannot be used: not a video, or no face in it
├── Conflict           another process changed the object at the same time
├── Busy               there is no room for more work now, such as a free slot of a replica
├── Unavailable        a service or the store does not answer
│   └── Interrupted    this process is shutting down; a retry elsewhere continues the work
├── DataLoss           stored bytes differ from the bytes that were written
├── Cancelled          the caller cancelled
├── Denied             the credentials do not permit the operation
└── Internal           a defect or a wrong configuration of FaceFoundry
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = [
    "Busy",
    "Cancelled",
    "Conflict",
    "DataLoss",
    "Denied",
    "ErrorRecord",
    "FaceFoundryError",
    "FieldViolation",
    "Internal",
    "Interrupted",
    "InvalidInput",
    "NotFound",
    "Unavailable",
    "Unusable",
    "from_record",
    "to_record",
]


class FieldViolation(NamedTuple):
    """A wrong field of a request, and what is wrong with it."""

    field: str
    description: str


class FaceFoundryError(Exception):
    """Base class of all exceptions of this project.

    Attributes:
        message: A sentence for a person: what was expected, what was received, what to do.
        reason: Machine-readable cause in UPPER_SNAKE_CASE; its meaning never changes.
        metadata: Further machine-readable facts, by name.
        violations: The wrong fields of the request, if any.
        resource: URI, key or path that the error is about, if any.
        retry_after_seconds: How long to wait before a retry, if known.
    """

    default_reason = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
        resource: str = "",
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.metadata = dict(metadata or {})
        self.violations = tuple(FieldViolation(*violation) for violation in violations)
        self.resource = resource
        self.retry_after_seconds = retry_after_seconds


class InvalidInput(FaceFoundryError):
    """The request is wrong; repeating it unchanged cannot succeed."""

    default_reason = "INVALID_INPUT"


class NotFound(FaceFoundryError):
    """An object that the request refers to does not exist."""

    default_reason = "NOT_FOUND"


class Unusable(FaceFoundryError):
    """The input exists but cannot be used, such as a clip without a face."""

    default_reason = "UNUSABLE"


class Conflict(FaceFoundryError):
    """Another process changed the object at the same time; read its current state before a retry."""

    default_reason = "CONFLICT"


class Busy(FaceFoundryError):
    """There is no room for more work now, such as a free slot of a replica. Waiting is normal and not a failure."""

    default_reason = "NO_FREE_SLOT"


class Unavailable(FaceFoundryError):
    """A service or the store does not answer at the moment."""

    default_reason = "UNAVAILABLE"


class Interrupted(Unavailable):
    """This process is shutting down. Finished parts are kept, so a retry continues the work."""

    default_reason = "INTERRUPTED"


class DataLoss(FaceFoundryError):
    """Stored bytes differ from the bytes that were written."""

    default_reason = "DIGEST_MISMATCH"


class Cancelled(FaceFoundryError):
    """The caller cancelled the call."""

    default_reason = "CANCELLED"


class Denied(FaceFoundryError):
    """The credentials do not permit the operation."""

    default_reason = "ACCESS_DENIED"


class Internal(FaceFoundryError):
    """A defect or a wrong configuration of FaceFoundry, not of the request."""

    default_reason = "INTERNAL"


@dataclass(frozen=True)
class ErrorRecord:
    """The values of a `FaceFoundryError`, to send it to another process or to store it.

    Attributes:
        type: Name of the error's class. All other fields are equal to the attributes of the error.
    """

    type: str
    message: str
    reason: str
    metadata: dict[str, str] = field(default_factory=dict)
    violations: tuple[FieldViolation, ...] = ()
    resource: str = ""
    retry_after_seconds: float | None = None


def to_record(error: FaceFoundryError) -> ErrorRecord:
    """Return the record of an error."""
    return ErrorRecord(
        type=type(error).__name__,
        message=error.message,
        reason=error.reason,
        metadata=error.metadata,
        violations=error.violations,
        resource=error.resource,
        retry_after_seconds=error.retry_after_seconds,
    )


def from_record(record: ErrorRecord) -> FaceFoundryError:
    """Return the error of a record. If this version has no class of that name, the error is an `Internal`."""
    kind = _classes(FaceFoundryError).get(record.type, Internal)
    return kind(
        record.message,
        reason=record.reason,
        metadata=record.metadata,
        violations=record.violations,
        resource=record.resource,
        retry_after_seconds=record.retry_after_seconds,
    )


def _classes(base: type[FaceFoundryError]) -> dict[str, type[FaceFoundryError]]:
    """Return the class and all its subclasses, by name."""
    found = {base.__name__: base}
    for child in base.__subclasses__():
        found |= _classes(child)
    return found
