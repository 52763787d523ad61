"""The exception tree. It knows no gRPC; `facefoundry.rpc.status` maps it to statuses and back.

FaceFoundryError
├── InvalidInput       the request itself is wrong; names the fields
├── NotFound           something it refers to does not exist
├── Unusable           it exists but cannot be worked with: not a video, no face in it
├── Conflict           another writer was first
├── Busy               no free slot now
├── Unavailable        a part of the system does not answer now
│   └── Interrupted    this process is stopping; the work goes on elsewhere
├── DataLoss           stored bytes are not what was written
├── Cancelled          the caller gave up
├── Denied             the credentials do not allow it
└── Internal           a defect or a wrong set-up of ours
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

__all__ = [
    "Busy",
    "Cancelled",
    "Conflict",
    "DataLoss",
    "Denied",
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
    """One wrong field of a request."""

    field: str
    description: str


class FaceFoundryError(Exception):
    """Base of every error this project raises on purpose.

    Attributes:
        message: A sentence for a person: what was expected, what was received, what to do.
        reason: UPPER_SNAKE word for machines; its meaning never changes.
        metadata: Further facts for machines.
        violations: Wrong request fields, if any.
        resource: URI, key or path of what the error is about, if any.
        retry_after_seconds: When trying again makes sense, if known.
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
    """The request itself is wrong; asking again as it is cannot help."""

    default_reason = "INVALID_INPUT"


class NotFound(FaceFoundryError):
    """Something the request refers to does not exist."""

    default_reason = "NOT_FOUND"


class Unusable(FaceFoundryError):
    """The input exists but cannot be worked with, such as a clip without a face."""

    default_reason = "UNUSABLE"


class Conflict(FaceFoundryError):
    """Another writer was first; look again before asking again."""

    default_reason = "CONFLICT"


class Busy(FaceFoundryError):
    """No free slot in this replica; waiting for capacity is no failure."""

    default_reason = "NO_FREE_SLOT"


class Unavailable(FaceFoundryError):
    """A part of the system does not answer now."""

    default_reason = "UNAVAILABLE"


class Interrupted(Unavailable):
    """This process is stopping; what is finished is kept and the work can go on."""

    default_reason = "INTERRUPTED"


class DataLoss(FaceFoundryError):
    """Stored bytes are not what was written."""

    default_reason = "DIGEST_MISMATCH"


class Cancelled(FaceFoundryError):
    """The caller gave up."""

    default_reason = "CANCELLED"


class Denied(FaceFoundryError):
    """The credentials do not allow it."""

    default_reason = "ACCESS_DENIED"


class Internal(FaceFoundryError):
    """A defect or a wrong set-up on our side."""

    default_reason = "INTERNAL"


def _tree(base: type[FaceFoundryError]) -> dict[str, type[FaceFoundryError]]:
    found = {base.__name__: base}
    for child in base.__subclasses__():
        found |= _tree(child)
    return found


def to_record(error: FaceFoundryError) -> dict[str, Any]:
    """Describe an error in JSON values, for pipes and status objects."""
    return {
        "type": type(error).__name__,
        "message": error.message,
        "reason": error.reason,
        "metadata": error.metadata,
        "violations": [list(violation) for violation in error.violations],
        "resource": error.resource,
        "retry_after_seconds": error.retry_after_seconds,
    }


def from_record(record: Mapping[str, Any]) -> FaceFoundryError:
    """Rebuild an error from `to_record`; unknown types become `Internal`."""
    kind = _tree(FaceFoundryError).get(str(record.get("type")), Internal)
    return kind(
        str(record.get("message", "")),
        reason=record.get("reason"),
        metadata=record.get("metadata"),
        violations=[FieldViolation(*violation) for violation in record.get("violations", ())],
        resource=str(record.get("resource", "")),
        retry_after_seconds=record.get("retry_after_seconds"),
    )
