"""Defines the prefixes of all results in the bucket, and parses their URIs.

The first segment of a prefix is the kind of result, so bucket policies and lifecycle rules can select a kind. The next
segment is a digest of the inputs, so a repeated request finds the stored result. Below `clips/` are clips that users
copied there, under any key.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence

from facefoundry.errors import FieldViolation, InvalidInput

__all__ = [
    "CLASSES",
    "LISTED",
    "conversion",
    "dataset",
    "digest_of",
    "extraction",
    "imported",
    "kind_of",
    "model",
    "object_of",
    "prefix_of",
    "probe",
    "revoked",
    "run",
    "sequence_id",
    "signing",
    "source",
    "training",
    "upload",
    "uri",
]

CLASSES = (
    "clips",
    "sources",
    "extractions",
    "trainings",
    "signing",
    "models",
    "imports",
    "conversions",
    "runs",
    "datasets",
    "uploads",
    "revoked",
)

LISTED = {
    "extractor": ("sources", "extractions"),
    "trainer": ("models", "imports"),
    "converter": ("conversions",),
}
"""The kinds of results whose files each service lists: those that it makes."""

_DIGEST = re.compile(r"[0-9a-f]{40}")
_REVOKED = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_ITERATIONS = re.compile(r"[1-9][0-9]{0,9}")
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_KEY = re.compile(r"[^\x00-\x1f\x7f]{0,1024}")
_SEQUENCE = re.compile(r"[A-Za-z0-9-]{1,100}")


def digest_of(inputs: Mapping[str, object]) -> str:
    """Return the digest of a result's inputs: the first 40 hex digits of the SHA-256 of their canonical JSON."""
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


def signing(training_digest: str) -> str:
    """Return the key of the document with a training's signing key."""
    return f"signing/{_checked(_DIGEST, training_digest, 'digest')}.json"


def model(training_digest: str, iterations: int) -> str:
    """Return the prefix of the model that a training has made after the given number of iterations."""
    return (
        f"models/{_checked(_DIGEST, training_digest, 'digest')}/{_checked(_ITERATIONS, str(iterations), 'iterations')}"
    )


def imported(digest: str) -> str:
    """Return the prefix of an imported model."""
    return f"imports/{_checked(_DIGEST, digest, 'digest')}"


def conversion(digest: str) -> str:
    """Return the prefix of a conversion or transcoding."""
    return f"conversions/{_checked(_DIGEST, digest, 'digest')}"


def run(name: str) -> str:
    """Return the prefix of a dataset run."""
    return f"runs/{_checked(_RUN, name, 'name')}"


def dataset(name: str) -> str:
    """Return the prefix of a dataset."""
    return f"datasets/{_checked(_RUN, name, 'name')}"


def upload(upload_id: str) -> str:
    """Return the prefix of an upload."""
    return f"uploads/{_checked(_DIGEST, upload_id, 'id')}"


def revoked(digest: str) -> str:
    """Return the key of the tombstone of a result or a content that was revoked."""
    return f"revoked/{_checked(_REVOKED, digest, 'digest')}.json"


def probe(service: str) -> str:
    """Return the key of an object that a service may write, below a prefix that is never committed."""
    return f"{LISTED[service][-1]}/{'0' * 40}/probe"


def sequence_id(value: str, field: str = "sequence_id") -> str:
    """Check the id of a sequence, and return it.

    Only letters, digits and `-` are valid, because deepfake detectors split file names on `_`.

    Args:
        value: The id.
        field: Name of the field with the id, for the message.

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


def kind_of(value: str) -> str:
    """Return the kind that a URI claims, such as `extractions`: what follows the bucket. Empty if nothing does."""
    return value.partition("://")[2].partition("/")[2].partition("/")[0]


def prefix_of(bucket: str, value: str, kind: str | Sequence[str], field: str = "uri") -> str:
    """Return the prefix in a URI: of `s3://<bucket>/<kind>/<digest>`, all after the bucket.

    The URI of a model ends with `/<iterations>`. A URI names a bucket, but not the server.

    Args:
        bucket: The bucket that the URI must name.
        value: The URI.
        kind: The kind that the URI must have, one of `CLASSES`; or several kinds.
        field: Name of the field with the URI, for messages.

    Raises:
        InvalidInput: the URI has another form or another kind (URI), or names another bucket (BUCKET_NOT_ALLOWED).
    """
    kinds = (kind,) if isinstance(kind, str) else kind
    scheme, _, rest = value.partition("://")
    named, _, prefix = rest.partition("/")
    found, *segments = prefix.split("/")
    shape = {"models": [_DIGEST, _ITERATIONS], "runs": [_RUN], "datasets": [_RUN]}.get(found, [_DIGEST])
    well_formed = (
        scheme == "s3"
        and _BUCKET.fullmatch(named)
        and found in kinds
        and len(segments) == len(shape)
        and all(pattern.fullmatch(segment) for pattern, segment in zip(shape, segments, strict=True))
    )
    if not well_formed:
        forms = (f"s3://<bucket>/{each}/<digest>" + ("/<iterations>" if each == "models" else "") for each in kinds)
        form = " or ".join(forms)
        raise InvalidInput(
            f"Expected {field} in the form {form}. Received {field}={value!r}.",
            reason="URI",
            violations=[FieldViolation(field, f"must have the form {form}")],
        )
    if named != bucket:
        raise InvalidInput(
            f"Expected {field} in the bucket {bucket!r}. Received the bucket {named!r}.",
            reason="BUCKET_NOT_ALLOWED",
            violations=[FieldViolation(field, f"bucket must be {bucket}")],
        )
    return prefix


def object_of(value: str, buckets: Sequence[str], field: str) -> tuple[str, str]:
    """Return the bucket and the key in the URI of any object, `s3://<bucket>/<key>`.

    Args:
        value: The URI. That of a prefix ends with `/`.
        buckets: The buckets that it may name.
        field: Name of the request field with the URI, for messages.

    Raises:
        InvalidInput: the URI has another form (URI), or names another bucket (BUCKET_NOT_ALLOWED).
    """
    scheme, _, rest = value.partition("://")
    bucket, slash, key = rest.partition("/")
    relative = {".", ".."} & set(key.split("/"))
    if scheme != "s3" or not (slash and _BUCKET.fullmatch(bucket) and _KEY.fullmatch(key)) or relative:
        raise InvalidInput(
            f"Expected {field} in the form s3://<bucket>/<key>. Received {field}={value!r}.",
            reason="URI",
            violations=[FieldViolation(field, "must have the form s3://<bucket>/<key>")],
        )
    if bucket not in buckets:
        listed = " or ".join(map(repr, buckets))
        raise InvalidInput(
            f"Expected {field} in the bucket {listed}. Received {field}={value!r}. The operator of the service can "
            "add buckets to FACEFOUNDRY_IMPORT_BUCKETS.",
            reason="BUCKET_NOT_ALLOWED",
            violations=[FieldViolation(field, f"bucket must be {listed}")],
        )
    return bucket, key


def _checked(pattern: re.Pattern[str], value: str, field: str) -> str:
    if not pattern.fullmatch(value):
        raise InvalidInput(
            f"Expected {field} to match {pattern.pattern}. Received {field}={value!r}.",
            reason="KEY",
            violations=[FieldViolation(field, f"must match {pattern.pattern}")],
        )
    return value
