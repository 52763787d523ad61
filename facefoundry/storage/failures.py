"""Converts failures of requests to the S3 server to exceptions of `facefoundry.errors`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from xml.etree.ElementTree import ParseError

import urllib3
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from facefoundry.connections import tls_refusal
from facefoundry.errors import Denied, FaceFoundryError, NotFound, Unavailable

__all__ = ["CorruptedResponse", "converted", "error_of", "no_bucket"]

_MISSING = {"NoSuchKey", "NoSuchObject"}
_DENIED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AllAccessDisabled"}
_FULL = {"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage", "QuotaExceeded"}
_INSUFFICIENT_STORAGE = 507
_CLOCK_SECONDS = 900.0  # servers accept a signature of this age
_REGION_HEADER = "x-amz-bucket-region"
_CLOCK = ("STORE_CLOCK", "Set the clocks of this machine and of the store.")
_REGION = (
    "STORE_REGION",
    "Set FACEFOUNDRY_STORE_REGION to the bucket's region, and FACEFOUNDRY_STORE_ENDPOINT to its address.",
)
_KEYS = (
    "STORE_ACCESS_DENIED",
    "Set FACEFOUNDRY_STORE_ACCESS_KEY and FACEFOUNDRY_STORE_SECRET_KEY to keys that do not expire.",
)
_TOO_LARGE = (
    "STORE_REFUSED",
    "Let the server, and every proxy in front of it, take 64 MiB in a request: uploads have parts of this size.",
)
_UNSUPPORTED = ("STORE_UNSUPPORTED", "The server does not have this request of S3; use another server.")
_REFUSED: dict[str, tuple[str, str]] = {
    "RequestTimeTooSkewed": _CLOCK,
    "AuthorizationHeaderMalformed": _REGION,
    "PermanentRedirect": _REGION,
    "TemporaryRedirect": _REGION,
    "Redirect": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "ExpiredToken": _KEYS,
    "InvalidToken": _KEYS,
    "TokenRefreshRequired": _KEYS,
    "EntityTooLarge": _TOO_LARGE,
    "HTTP status 413": _TOO_LARGE,
    "MethodNotAllowed": _UNSUPPORTED,
    "NotImplemented": _UNSUPPORTED,
}
"""Reason and advice of refusals that a repetition would not change, by the code of S3."""

_ANY_REFUSAL = (
    "STORE_REFUSED",
    "Check FACEFOUNDRY_STORE_REGION and FACEFOUNDRY_STORE_ENDPOINT, and look into the log of the server.",
)
_NOT_S3 = (
    "STORE_REFUSED",
    "Set FACEFOUNDRY_STORE_ENDPOINT and FACEFOUNDRY_STORE_SECURE to those of the S3 server, and look into the log of a "
    "proxy in front of it.",
)
_CERTIFICATE = (
    "Set FACEFOUNDRY_STORE_CA_FILE to the certificate of its authority, and FACEFOUNDRY_STORE_ENDPOINT to a name in "
    "its certificate."
)
_PLAIN = "Set FACEFOUNDRY_STORE_ENDPOINT to its port with TLS, or FACEFOUNDRY_STORE_SECURE to false."
_PASSING = {"RequestTimeout", "IncompleteBody", "BadDigest", "OperationAborted", "XAmzContentSHA256Mismatch"}
"""Codes of refusals that a repetition can change, although their HTTP status is one of the caller's errors."""

_PASSING_STATUS = {404, 408, 409, 425, 429}


class CorruptedResponse(Unavailable):
    """The store sent a response that cannot be parsed."""

    default_reason = "STORE_UNAVAILABLE"


@contextmanager
def converted(endpoint: str, bucket: str, key: str) -> Iterator[None]:
    """Convert exceptions of the S3 library within the block, most specific first.

    Args:
        endpoint: Address of the server, for messages.
        bucket: Name of the bucket, for messages.
        key: Key of the object, for messages.
    """
    try:
        yield
    except S3Error as error:
        # An unknown 404: the end of a multipart upload was sent twice, or the error code was corrupted.
        if error.response.status == 404 and error.code not in {*_MISSING, "NoSuchBucket"}:
            raise CorruptedResponse(_down(endpoint, f"{error.code} for {key!r}").message) from error
        status = error.response.status
        code = "InsufficientStorage" if status == _INSUFFICIENT_STORAGE else error.code or ""
        if code == "AccessDenied" and (seconds := _clock_difference(error.response.headers.get("Date", ""))):
            # The response to HEAD has no body, so its code is that of every response 403.
            message = f"its clock differs by {seconds:.0f} s from that of this machine"
            raise error_of("RequestTimeTooSkewed", message, endpoint, bucket, key) from error
        message, region = error.message or "", error.response.headers.get(_REGION_HEADER)
        if region and region not in message:
            message = f"{message.rstrip('.')}; the bucket's region is {region}"
        raise error_of(code, message, endpoint, bucket, key, status=status) from error
    except (ParseError, ValueError) as error:
        detail = f"its response about {key!r} cannot be parsed: {error}"
        raise CorruptedResponse(_down(endpoint, detail).message) from error
    except ServerError as error:  # a response without a body, such as to HEAD, and with a status that S3 does not have
        status, detail = error.status_code, f"{error} for {key!r}"
        if not _stays(status, ""):
            raise _down(endpoint, detail) from error
        raise error_of(f"HTTP status {status}", str(error), endpoint, bucket, key, status=status) from error
    except InvalidResponseError as error:  # such as a page of HTML by a proxy in front of the store
        status = error._code  # the library has no public name for it
        if not _stays(status, ""):
            raise _down(endpoint, f"HTTP status {status} for {key!r}, without a code of S3") from error
        code, message = f"HTTP status {status}", "this is no answer of S3"
        raise error_of(code, message, endpoint, bucket, key, status=status, other=_NOT_S3) from error
    except MinioException as error:
        raise _down(endpoint, str(error)) from error
    except urllib3.exceptions.HTTPError as error:
        raise tls_refusal(error, endpoint, _CERTIFICATE, _PLAIN) or _down(endpoint, str(error)) from error


def no_bucket(endpoint: str, bucket: str) -> NotFound:
    """Return the error about a missing bucket."""
    return NotFound(
        f"The store at {endpoint} has no bucket {bucket!r}. "
        "Create it, or set FACEFOUNDRY_STORE_BUCKET to another bucket.",
        reason="NO_SUCH_BUCKET",
        resource=bucket,
    )


def error_of(
    code: str,
    message: str,
    endpoint: str,
    bucket: str,
    key: str,
    *,
    status: int = 500,
    other: tuple[str, str] = _ANY_REFUSAL,
) -> FaceFoundryError:
    """Return the error for a code of S3: `Unavailable` if the same request can succeed later, else another class.

    Args:
        code: The code.
        message: The message of the server.
        endpoint: Address of the server.
        bucket: Name of the bucket.
        key: Key of the object.
        status: HTTP status, which decides for codes that are not listed here.
        other: Reason and advice of a refusal with such a code.
    """
    if code == "NoSuchBucket":
        return no_bucket(endpoint, bucket)
    if code in _MISSING:
        return NotFound(f"The store has no object {key!r}.", reason="NO_SUCH_OBJECT", resource=key)
    if code in _DENIED:
        return Denied(
            f"The store at {endpoint} denied access to {key!r} ({code}). "
            "Check FACEFOUNDRY_STORE_ACCESS_KEY, FACEFOUNDRY_STORE_SECRET_KEY and the bucket's policy.",
            reason="STORE_ACCESS_DENIED",
            resource=key,
        )
    if code in _FULL:
        return Unavailable(
            f"The store at {endpoint} has no space for {key!r} ({code}). Free some space and "
            "retry; finished parts are kept.",
            reason="STORE_FULL",
            resource=key,
            retry_after_seconds=5.0,
        )
    if code in _REFUSED or _stays(status, code):
        reason, advice = _REFUSED.get(code, other)
        sentence = f"The store at {endpoint} refused the request for {key!r} ({code}): {message.rstrip('.')}. {advice}"
        return Denied(sentence, reason=reason, resource=key)
    return Unavailable(
        f"The store at {endpoint} failed at {key!r}: {code}: {message}",
        reason="STORE_ERROR",
        resource=key,
        retry_after_seconds=5.0,
    )


def _stays(status: int, code: str) -> bool:
    """Return whether a refusal with this HTTP status and a code that is not listed is final."""
    return status == 501 or (300 <= status < 500 and status not in _PASSING_STATUS and code not in _PASSING)


def _clock_difference(date: str) -> float:
    """Return by how many seconds the clock of a server differs from ours; 0 if that is less than servers accept."""
    try:
        seconds = (parsedate_to_datetime(date) - datetime.now(timezone.utc)).total_seconds()
    except (TypeError, ValueError):
        return 0.0
    return abs(seconds) if abs(seconds) > _CLOCK_SECONDS else 0.0


def _down(endpoint: str, detail: str) -> Unavailable:
    return Unavailable(
        f"The store at {endpoint} does not answer: {detail}",
        reason="STORE_UNAVAILABLE",
        resource=endpoint,
        retry_after_seconds=5.0,
    )
