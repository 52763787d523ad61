"""Converts the exceptions of `facefoundry.errors` to gRPC statuses and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from facefoundry import __version__, errors
from facefoundry.errors import ErrorRecord, FaceFoundryError, FieldViolation

__all__ = ["CODES", "DOMAIN", "code_of", "from_rpc_error", "to_status"]

DOMAIN = "facefoundry"
_TYPE = "type"
# The time after which a channel with a retryPolicy sends the call again, milliseconds.
_PUSHBACK = "grpc-retry-pushback-ms"
# gRPC drops a status whose metadata exceeds 8 KiB, and a byte of text may take four bytes there.
_MESSAGE_BYTES = 1000
_FIELD_BYTES = 120
_VIOLATIONS = 10

CODES: dict[type[FaceFoundryError], grpc.StatusCode] = {
    errors.InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.Unusable: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Conflict: grpc.StatusCode.ABORTED,
    errors.Busy: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.Interrupted: grpc.StatusCode.UNAVAILABLE,
    errors.DataLoss: grpc.StatusCode.DATA_LOSS,
    errors.Cancelled: grpc.StatusCode.CANCELLED,
    errors.Denied: grpc.StatusCode.PERMISSION_DENIED,
    errors.Internal: grpc.StatusCode.INTERNAL,
}

# Words in the status of a call that a proxy or the network interrupted; the services always send an ErrorInfo.
_CERTIFICATE_WORDS = ("CERTIFICATE_VERIFY_FAILED", "Hostname Verification Check failed")
_CUT_WORDS = ("RST_STREAM", "Stream removed", "GOAWAY")

_ERROR_OF_CODE: dict[grpc.StatusCode, type[FaceFoundryError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidInput,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.FAILED_PRECONDITION: errors.Unusable,
    grpc.StatusCode.ABORTED: errors.Conflict,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.Busy,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.Unavailable,
    grpc.StatusCode.DATA_LOSS: errors.DataLoss,
    grpc.StatusCode.PERMISSION_DENIED: errors.Denied,
    grpc.StatusCode.UNAUTHENTICATED: errors.Denied,
}


@dataclass(frozen=True)
class _Status(grpc.Status):
    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, str | bytes], ...]


def code_of(error: FaceFoundryError) -> grpc.StatusCode:
    """Return the gRPC status code of an exception: the code of its class, or of its nearest base class, in `CODES`."""
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), grpc.StatusCode.INTERNAL)


def to_status(error: FaceFoundryError) -> grpc.Status:
    """Convert an exception to a gRPC status with details of the types that google.rpc defines.

    The details are ErrorInfo and, if the exception has violations, a resource or a retry time, BadRequest, ResourceInfo
    or RetryInfo. Long texts are shortened. A retry time is also in the trailing metadata, for gRPC's own retries.
    """
    metadata = {name: _short(value, _FIELD_BYTES) for name, value in error.metadata.items()}
    details: list[Message] = [
        error_details_pb2.ErrorInfo(
            reason=error.reason, domain=DOMAIN, metadata={**metadata, _TYPE: type(error).__name__}
        )
    ]
    if error.violations:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(
                field=_short(violation.field, _FIELD_BYTES), description=_short(violation.description, _FIELD_BYTES)
            )
            for violation in error.violations[:_VIOLATIONS]
        ]
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    if error.resource:
        details.append(
            error_details_pb2.ResourceInfo(resource_type="object", resource_name=_short(error.resource, _MESSAGE_BYTES))
        )
    trailers: list[tuple[str, str | bytes]] = []
    if error.retry_after_seconds is not None:
        trailers.append((_PUSHBACK, str(round(error.retry_after_seconds * 1000))))
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(int(error.retry_after_seconds * 1e9))
        details.append(retry)
    packed = []
    for detail in details:
        envelope = AnyMessage()
        envelope.Pack(detail)
        packed.append(envelope)
    code: tuple[int, str] = code_of(error).value
    message = _short(error.message, _MESSAGE_BYTES)
    status = rpc_status.to_status(status_pb2.Status(code=code[0], message=message, details=packed))
    return _Status(status.code, status.details, (*status.trailing_metadata, *trailers))


def from_rpc_error(error: grpc.RpcError, peer: str) -> FaceFoundryError:
    """Convert the error of a failed call to an exception of `facefoundry.errors`.

    Args:
        error: The error that the call raised.
        peer: Address of the service, for messages about calls that did not reach it.
    """
    code: grpc.StatusCode = error.code()
    message: str = error.details() or code.name
    try:
        status = rpc_status.from_call(error)
    except (ValueError, DecodeError):  # a proxy changed the code or message, or the deadline passed after the answer
        status = None
    record = _record(status.details, message) if status else None
    return errors.from_record(record) if record else _foreign(code, message, peer)


def _record(details: Iterable[AnyMessage], message: str) -> ErrorRecord | None:
    """Return the error in a service's status; None for a status that a proxy or gRPC itself made."""
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    resource, retry = error_details_pb2.ResourceInfo(), error_details_pb2.RetryInfo()
    for envelope in details:
        for detail in (info, bad, resource, retry):
            envelope.Unpack(detail)  # does nothing to a detail of another type
    if not info.reason:
        return None
    metadata = dict(info.metadata)
    return ErrorRecord(
        type=metadata.pop(_TYPE, ""),
        message=message,
        reason=info.reason,
        metadata=metadata,
        violations=tuple(FieldViolation(wrong.field, wrong.description) for wrong in bad.field_violations),
        resource=resource.resource_name,
        retry_after_seconds=retry.retry_delay.ToNanoseconds() / 1e9 if retry.HasField("retry_delay") else None,
    )


def _foreign(code: grpc.StatusCode, message: str, peer: str) -> FaceFoundryError:
    """Return the exception for a status without details, which a proxy or gRPC itself made."""
    if any(words in message for words in _CERTIFICATE_WORDS):
        return errors.Denied(
            f"The service at {peer} has no certificate that can be trusted: {message} Set FACEFOUNDRY_CA_FILE to the "
            "certificate of its authority, and call it by a name in its certificate.",
            reason="SERVICE_CERTIFICATE",
            resource=peer,
        )
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return errors.Unusable(
            f"The service at {peer} does not know this call: {message} It is older than this client, version "
            f"{__version__}, or another program answers there. Update the services before their clients.",
            reason="UNKNOWN_CALL",
            resource=peer,
        )
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        message = f"The service at {peer} does not answer: {message}"
    cut = any(word in message for word in _CUT_WORDS)
    if code is grpc.StatusCode.CANCELLED or (cut and code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)):
        return errors.Unavailable(f"The call to {peer} was interrupted: {message}", reason="CALL_CUT")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in message:
        return errors.InvalidInput(message, reason="MESSAGE_TOO_LARGE")  # not a full replica
    return _ERROR_OF_CODE.get(code, errors.Internal)(message, reason=code.name)


def _short(text: str, limit: int) -> str:
    """Return the text. If it is longer than `limit` bytes, cut it and append dots."""
    encoded = text.encode()
    return text if len(encoded) <= limit else encoded[:limit].decode(errors="ignore") + " ..."
