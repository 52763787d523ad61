"""The one place where exceptions become statuses, and where every call is counted, measured and logged to its end."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from facefoundry.errors import Busy, FaceFoundryError, Internal
from facefoundry.rpc.status import code_of, to_status
from facefoundry.telemetry import CALL_SECONDS, CALLS, logger

__all__ = ["CallInterceptor"]

_log = logger(__name__)
_RETRY_SECONDS = 5.0
_QUIET = ("/grpc.health.v1.", "/grpc.reflection.")


class CallInterceptor(grpc.ServerInterceptor):
    """Wraps every handler of our services; outermost, so that nothing escapes unmapped.

    Args:
        service: Name of the service.
        max_calls: Calls served at once; further ones are refused. Health and reflection do not count.
    """

    def __init__(self, service: str, max_calls: int) -> None:
        self._service = service
        self._max_calls = max_calls
        self._free = threading.BoundedSemaphore(max_calls)

    def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Any], handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        """Wrap unary and server-streaming handlers; the others are none of ours."""
        handler = continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(_QUIET) or handler.request_streaming:
            return handler
        serialisers = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(self._stream(method, handler.unary_stream), **serialisers)
        return grpc.unary_unary_rpc_method_handler(self._unary(method, handler.unary_unary), **serialisers)

    def _unary(self, method: str, handler: Callable[[Any, grpc.ServicerContext], Any]) -> Callable[..., Any]:
        def call(request: Any, context: grpc.ServicerContext) -> Any:
            with _Call(self._service, method, context) as running, self._place():
                running.response = handler(request, context)
            return running.response

        return call

    def _stream(self, method: str, handler: Callable[[Any, grpc.ServicerContext], Iterator[Any]]) -> Callable[..., Any]:
        def call(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            with _Call(self._service, method, context), self._place():
                yield from handler(request, context)

        return call

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._free.acquire(blocking=False):
            raise Busy(
                f"This {self._service} serves {self._max_calls} calls already; ask another replica or try again.",
                reason="TOO_MANY_CALLS",
                retry_after_seconds=_RETRY_SECONDS * random.uniform(0.5, 1.5),
            )
        try:
            yield
        finally:
            self._free.release()


class _Call:
    """Measures one call and ends it with the right status."""

    def __init__(self, service: str, method: str, context: grpc.ServicerContext) -> None:
        self._service, self._method, self._context = service, method, context
        self.response: Any = None

    def __enter__(self) -> _Call:
        self._start = time.monotonic()
        return self

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
                f"The {self._service} failed unexpectedly ({type(error).__name__}); its log has the details.",
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
