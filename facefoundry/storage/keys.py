"""All object keys. The first segment is the kind of object, so bucket policies and lifecycle rules can select it.

Each result is stored under a hash of its inputs, so repeated requests reuse it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from facefoundry.errors import FieldViolation, InvalidInput

__all__ = [
    "CLASSES",
    "Location",
    "conversion",
    "digest_of",
    "extraction",
    "model",
    "run",
    "sequence_id",
    "source",
    "training",
    "uri",
]

CLASSES = ("sources", "extractions", "trainings", "models", "conversions", "runs")

_DIGEST = re.compile(r"[0-9a-f]{40}")
_ITERATIONS = re.compile(r"[1-9][0-9]{0,9}")
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SEQUENCE = re.compile(r"[A-Za-z0-9-]{1,100}")


def digest_of(inputs: Mapping[str, object]) -> str:
    """Return the digest in a prefix: the first 40 hex digits of the SHA-256 of the inputs as canonical JSON."""
    canonical = json.dumps(inputs, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:40]


def source(digest: str) -> str:
    """Return the prefix of a source."""
    return f"sources/{_checked(_DIGEST, digest, 'digest')}"


def extraction(digest: str) -> str:
    """Return the prefix of an extraction."""
    return f"extractions/{_checked(_DIGEST, digest, 'digest')}"


def training(digest: str) -> str:
    """Return the prefix of a training."""
    return f"trainings/{_checked(_DIGEST, digest, 'digest')}"


def model(training_digest: str, iterations: int) -> str:
    """Return the prefix of the model that a training has after the given iterations."""
    return (
        f"models/{_checked(_DIGEST, training_digest, 'digest')}/{_checked(_ITERATIONS, str(iterations), 'iterations')}"
    )


def conversion(digest: str) -> str:
    """Return the prefix of a conversion or transcoding."""
    return f"conversions/{_checked(_DIGEST, digest, 'digest')}"


def run(name: str) -> str:
    """Return the prefix of a dataset run."""
    return f"runs/{_checked(_RUN, name, 'name')}"


def sequence_id(value: str, field: str = "sequence_id") -> str:
    """Return the id of a sequence if it is valid: letters, digits and `-`, as detectors split file names on `_`.

    Raises:
        InvalidInput: the id is empty or has other characters; the message proposes a valid id.
    """
    if _SEQUENCE.fullmatch(value):
        return value
    proposal = re.sub(r"[^A-Za-z0-9-]+", "-", value).strip("-")[:100] or "clip"
    raise InvalidInput(
        f"Expected a sequence id of letters, digits and '-', because detectors split file names on '_'. "
        f"Received {field}={value!r}. Rename it, for example to {proposal!r}.",
        reason="SEQUENCE_ID",
        violations=[FieldViolation(field, "must have only letters, digits and '-'")],
    )


def uri(bucket: str, prefix: str) -> str:
    """Return `s3://<bucket>/<prefix>`."""
    return f"s3://{bucket}/{prefix}"


@dataclass(frozen=True)
class Location:
    """A parsed URI of a prefix. It names a bucket, but no server."""

    bucket: str
    kind: str
    prefix: str

    @property
    def digest(self) -> str:
        """The digest in the prefix, or the name of a run."""
        return self.prefix.split("/")[1]

    @classmethod
    def parse(cls, value: str, kind: str, field: str = "uri") -> Location:
        """Parse `s3://<bucket>/<kind>/<digest>`; the URI of a model ends with `/<iterations>`.

        Raises:
            InvalidInput: the value has another form.
        """
        scheme, _, rest = value.partition("://")
        bucket, _, prefix = rest.partition("/")
        segments = prefix.split("/")
        shape = {"models": [_DIGEST, _ITERATIONS], "runs": [_RUN]}.get(kind, [_DIGEST])
        well_formed = (
            scheme == "s3"
            and _BUCKET.fullmatch(bucket)
            and segments[0] == kind
            and len(segments) == len(shape) + 1
            and all(pattern.fullmatch(segment) for pattern, segment in zip(shape, segments[1:], strict=True))
        )
        if not well_formed:
            form = f"s3://<bucket>/{kind}/<digest>" + ("/<iterations>" if kind == "models" else "")
            raise InvalidInput(
                f"Expected {field} in the form {form}. Received {field}={value!r}.",
                reason="URI",
                violations=[FieldViolation(field, f"must have the form {form}")],
            )
        return cls(bucket=bucket, kind=kind, prefix=prefix)


def _checked(pattern: re.Pattern[str], value: str, field: str) -> str:
    if not pattern.fullmatch(value):
        raise InvalidInput(
            f"Expected {field} to match {pattern.pattern}. Received {field}={value!r}.",
            reason="KEY",
            violations=[FieldViolation(field, f"must match {pattern.pattern}")],
        )
    return value
