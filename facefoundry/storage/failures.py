"""Converts failures of requests to the S3 server to exceptions of `facefoundry.errors`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree.ElementTree import ParseError

import urllib3
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from facefoundry.errors import Denied, FaceFoundryError, NotFound, Unavailable

__all__ = ["CorruptedResponse", "converted", "error_of", "no_bucket"]

_MISSING = {"NoSuchKey", "NoSuchObject"}
_DENIED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AllAccessDisabled"}
_FULL = {"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage", "QuotaExceeded"}
_INSUFFICIENT_STORAGE = 507


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
        full = error.response.status == _INSUFFICIENT_STORAGE
        code = "InsufficientStorage" if full else error.code or ""
        raise error_of(code, error.message or "", endpoint, bucket, key) from error
    except (ParseError, ValueError) as error:
        detail = f"its response about {key!r} cannot be parsed: {error}"
        raise CorruptedResponse(_down(endpoint, detail).message) from error
    except (InvalidResponseError, ServerError, MinioException) as error:
        raise _down(endpoint, str(error)) from error
    except urllib3.exceptions.HTTPError as error:
        raise _down(endpoint, str(error)) from error


def no_bucket(endpoint: str, bucket: str) -> NotFound:
    """Return the error about a missing bucket."""
    return NotFound(
        f"The store at {endpoint} has no bucket {bucket!r}. "
        "Create it, or set FACEFOUNDRY_STORE_BUCKET to another bucket.",
        reason="NO_SUCH_BUCKET",
        resource=bucket,
    )


def error_of(code: str, message: str, endpoint: str, bucket: str, key: str) -> FaceFoundryError:
    """Return the error for a code of S3.

    Args:
        code: The code.
        message: The message of the server.
        endpoint: Address of the server.
        bucket: Name of the bucket.
        key: Key of the object.
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
    return Unavailable(
        f"The store at {endpoint} failed at {key!r}: {code}: {message}",
        reason="STORE_ERROR",
        resource=key,
        retry_after_seconds=5.0,
    )


def _down(endpoint: str, detail: str) -> Unavailable:
    return Unavailable(
        f"The store at {endpoint} does not answer: {detail}",
        reason="STORE_UNAVAILABLE",
        resource=endpoint,
        retry_after_seconds=5.0,
    )
