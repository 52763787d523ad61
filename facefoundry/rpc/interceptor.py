"""Wraps the handlers of a gRPC server.

Requests are checked, exceptions become statuses, and every call is counted, timed and logged.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

import grpc

from facefoundry.errors import Busy, FaceFoundryError, Internal, InvalidInput
from facefoundry.rpc.status import code_of, to_status
from facefoundry.rpc.validation import check
from facefoundry.telemetry import CALL_SECONDS, CALLS, logger

__all__ = ["CallInterceptor"]

Request = TypeVar("Request")
Response = TypeVar("Response")

_log = logger(__name__)
_RETRY_SECONDS = 5.0
_UNCOUNTED = ("/grpc.health.v1.", "/grpc.reflection.")


class CallInterceptor(grpc.ServerInterceptor):
    """Wraps every handler of a service. It is the outermost interceptor, so it sees every exception.

    Args:
        service: Name of the service.
        max_calls: How many calls may run at once; further calls are refused. Health and reflection calls do not count.
        max_bytes: Size of the largest request; a larger one is refused before it is parsed.
    """

    def __init__(self, service: str, max_calls: int, max_bytes: int) -> None:
        self._service = service
        self._max_calls = max_calls
        self._max_bytes = max_bytes
        self._free = threading.BoundedSemaphore(max_calls)

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Request, Response] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Request, Response] | None:
        """Wrap unary and server-streaming handlers; the services have no others."""
        handler = continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(_UNCOUNTED):
            return handler
        parse = self._limited(handler.request_deserializer)
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(
                self._stream(method, handler.unary_stream), parse, handler.response_serializer
            )
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                self._unary(method, handler.unary_unary), parse, handler.response_serializer
            )
        return handler

    def _limited(self, parse: Callable[[bytes], Request] | None) -> Callable[[bytes], Request]:
        """Return a parser of requests that are not too large.

        For a larger one it returns an error, which `_accepted` raises: gRPC answers INTERNAL if a parser raises one.
        """

        def limited(data: bytes) -> object:
            if len(data) <= self._max_bytes:
                return parse(data) if parse is not None else data
            return InvalidInput(
                f"Expected a request of at most {self._max_bytes} bytes. Received {len(data)} bytes. Send a smaller "
                f"request, or set FACEFOUNDRY_MAX_MESSAGE_BYTES of the {self._service} to more.",
                reason="MESSAGE_TOO_LARGE",
                metadata={"max_bytes": str(self._max_bytes), "received_bytes": str(len(data))},
            )

        return cast("Callable[[bytes], Request]", limited)

    def _unary(
        self, method: str, handler: Callable[[Request, grpc.ServicerContext], Response]
    ) -> Callable[[Request, grpc.ServicerContext], Response]:
        def call(request: Request, context: grpc.ServicerContext) -> Response:
            with _Call(self._service, method, context), self._admission():
                return handler(_accepted(request), context)

        return call

    def _stream(
        self, method: str, handler: Callable[[Request, grpc.ServicerContext], Iterator[Response]]
    ) -> Callable[[Request, grpc.ServicerContext], Iterator[Response]]:
        def call(request: Request, context: grpc.ServicerContext) -> Iterator[Response]:
            with _Call(self._service, method, context), self._admission():
                yield from handler(_accepted(request), context)

        return call

    @contextmanager
    def _admission(self) -> Iterator[None]:
        if not self._free.acquire(blocking=False):
            raise Busy(
                f"This {self._service} already serves {self._max_calls} calls, its maximum. "
                "Call another replica or retry later.",
                reason="TOO_MANY_CALLS",
                retry_after_seconds=_RETRY_SECONDS * random.uniform(0.5, 1.5),
            )
        try:
            yield
        finally:
            self._free.release()


def _accepted(request: Request) -> Request:
    """Return a parsed request that keeps the rules; raise the error in its place if it was too large."""
    if isinstance(request, InvalidInput):
        raise request
    check(request)
    return request


class _Call:
    """Measures and logs one call. If the handler raises an exception, the call ends with its gRPC status."""

    def __init__(self, service: str, method: str, context: grpc.ServicerContext) -> None:
        self._service, self._method, self._context = service, method, context

    def __enter__(self) -> None:
        self._start = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._record("OK", "")
        elif isinstance(error, GeneratorExit):
            self._record("CANCELLED", "CANCELLED")
        elif isinstance(error, FaceFoundryError):
            self._record(code_of(error).name, error.reason, error.message)
            self._context.abort_with_status(to_status(error))
        elif isinstance(error, Exception):
            _log.exception("call_crashed", method=self._method)
            self._record("INTERNAL", "UNEXPECTED")
            defect = Internal(
                f"The {self._service} failed unexpectedly ({type(error).__name__}). Its log has the details.",
                reason="UNEXPECTED",
            )
            self._context.abort_with_status(to_status(defect))

    def _record(self, code: str, reason: str, message: str = "") -> None:
        seconds = time.monotonic() - self._start
        CALLS.labels(self._service, self._method, code, reason).inc()
        CALL_SECONDS.labels(self._service, self._method).observe(seconds)
        _log.event(
            "call",
            method=self._method,
            code=code,
            reason=reason,
            detail=message,
            seconds=round(seconds, 4),
            peer=self._context.peer(),
        )
