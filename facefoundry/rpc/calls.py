"""Runs the handlers of servicers, which are ordinary functions, in the threads of lanes for an asyncio server.

Requests are checked, exceptions become statuses, and every call is counted, timed and logged.

A caller costs a thread only while a handler works for it: not before the whole request is there, not while the response
is sent, and not in a `Pause`. A handler does not wait for a caller who is slow to take responses (`outbox.py`). When a
caller is gone, its handler's context says so, and the handler is closed at its next message.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, suppress
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

import grpc
from google.protobuf.message import DecodeError, Message

from facefoundry.errors import Busy, FaceFoundryError, Internal, InvalidInput
from facefoundry.rpc.call import Call, Pause
from facefoundry.rpc.lanes import Lane, Lanes
from facefoundry.rpc.outbox import Outbox
from facefoundry.rpc.status import code_of, to_status
from facefoundry.rpc.validation import check
from facefoundry.telemetry import CALL_SECONDS, CALLS, ReasonLabels, logger

if TYPE_CHECKING:
    _Handler: TypeAlias = grpc.RpcMethodHandler[Message, Message]
    _Context: TypeAlias = grpc.aio.ServicerContext[bytes, bytes]

__all__ = ["REQUEST_SECONDS", "RESPONSE_SECONDS", "Calls"]

REQUEST_SECONDS = 20.0
"""How long a caller may take to send its request."""

RESPONSE_SECONDS = 60.0
"""How long a caller may take for one response."""

_STATUS_SECONDS = 5.0
_WAITING_PER_HOST = 64  # each costs 26 KiB
_CROWDED_SECONDS = 1.0

T = TypeVar("T")

_END = object()
_log = logger(__name__)
_REASONS = ReasonLabels()


class Calls:
    """Makes handlers for an asyncio server of the handlers of servicers. It is made in the server's event loop.

    Args:
        service: Name of the service.
        lanes: The threads in which handlers run.
        max_bytes: Size of the largest request; a larger one is refused before it is parsed.
        request_seconds: How long a caller may take to send its request.
        response_seconds: How long a caller may take for one response.
        calling: Keeps the connection of a caller open during a block, by the caller's address.
    """

    def __init__(
        self,
        service: str,
        lanes: Lanes,
        max_bytes: int,
        request_seconds: float,
        response_seconds: float,
        calling: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        self._calling = calling
        self._service, self._lanes, self._max_bytes = service, lanes, max_bytes
        self._request_seconds, self._response_seconds = request_seconds, response_seconds
        self._stopping = asyncio.Event()
        self._waiting = Counter[str]()  # calls whose request is not there yet, by host

    def stop(self) -> None:
        """End all pauses, for good."""
        self._stopping.set()

    def handler(self, method: str, handler: _Handler) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Return the asyncio handler of a method with one request. On the wire it does not differ.

        It takes and sends bytes: gRPC answers INTERNAL to a request that it cannot parse, and hands over a request
        only once it is there.

        Args:
            method: Name of the method, `/<service>/<method>`.
            handler: The handler of the servicer.
        """

        async def answer(requests: object, context: _Context) -> None:
            with self._calling(context.peer()):
                await self._answer(method, handler, context)

        made: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(answer, None, None)
        return made

    async def _answer(self, method: str, handler: _Handler, context: _Context) -> None:
        call, start = Call(context.peer()), time.monotonic()

        def record(code: str, reason: str = "", message: str = "") -> None:
            seconds = time.monotonic() - start
            CALLS.labels(self._service, method, code, _REASONS.of(reason)).inc()
            CALL_SECONDS.labels(self._service, method).observe(seconds)
            _log.event(
                "call",
                method=method,
                code=code,
                reason=reason,
                detail=message,
                seconds=round(seconds, 4),
                peer=call.peer(),
            )

        try:
            await self._serve(method, handler, call, context)
        except asyncio.CancelledError:
            record("CANCELLED", "CANCELLED")
            raise
        except FaceFoundryError as error:
            record(code_of(error).name, error.reason, error.message)
            await _abort(context, error)
        except Exception as error:
            _log.exception("call_crashed", method=method)
            record("INTERNAL", "UNEXPECTED")
            message = f"The {self._service} failed unexpectedly ({type(error).__name__}). Its log has the details."
            await _abort(context, Internal(message, reason="UNEXPECTED"))
        else:
            record("OK")
        finally:
            self._end(call)

    async def _serve(self, method: str, handler: _Handler, call: Call, context: _Context) -> None:
        data = await self._receive(call.peer(), context)
        lane, outbox = self._lanes.of(method), Outbox(context.write, self._response_seconds)
        with closing(outbox), lane.place(call.peer()):
            servicer_context = cast("grpc.ServicerContext", call)
            if handler.unary_unary is not None:
                respond = handler.unary_unary
                response = await self._step(lane, call, lambda: respond(self._parse(handler, data), servicer_context))
                await outbox.put(_serialized(handler, response))
            elif handler.unary_stream is not None:
                stream = handler.unary_stream
                responses = await self._step(lane, call, lambda: stream(self._parse(handler, data), servicer_context))
                await self._send(lane, call, handler, iter(responses), outbox)
            await outbox.finish()

    async def _receive(self, peer: str, context: _Context) -> bytes:
        """Return the request. If many calls of a host wait for theirs, further ones have less time for it."""
        host = peer.rpartition(":")[0]
        crowded = self._waiting[host] >= _WAITING_PER_HOST
        seconds = min(_CROWDED_SECONDS, self._request_seconds) if crowded else self._request_seconds
        self._waiting[host] += 1
        try:
            async with asyncio.timeout(seconds):
                data = await context.read()
        except TimeoutError as error:
            raise _no_request(seconds, crowded) from error
        finally:
            self._waiting[host] -= 1
            if not self._waiting[host]:
                del self._waiting[host]
        if not isinstance(data, bytes):
            raise InvalidInput("Expected a request. The call has none. Send one message.", reason="NO_REQUEST")
        return data

    def _parse(self, handler: _Handler, data: bytes) -> Message:
        """Return a request that keeps the rules."""
        if len(data) > self._max_bytes:
            raise InvalidInput(
                f"Expected a request of at most {self._max_bytes} bytes. Received {len(data)} bytes. Send a smaller "
                f"request, or set FACEFOUNDRY_MAX_MESSAGE_BYTES of the {self._service} to more.",
                reason="MESSAGE_TOO_LARGE",
                metadata={"max_bytes": str(self._max_bytes), "received_bytes": str(len(data))},
            )
        parse = cast("Callable[[bytes], Message]", handler.request_deserializer)
        try:
            request = parse(data)
        except (DecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(
                f"Expected a message of the method's type. Received {len(data)} bytes that are none. "
                "Use a client of the contract.",
                reason="MALFORMED",
            ) from error
        check(request)
        return request

    async def _send(
        self, lane: Lane, call: Call, handler: _Handler, responses: Iterator[Message | Pause], outbox: Outbox
    ) -> None:
        try:
            while (response := await self._step(lane, call, lambda: next(responses, _END))) is not _END:
                if isinstance(response, Pause):
                    with suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(self._stopping.wait(), response.seconds)
                else:
                    message = cast("Message", response)
                    await outbox.put(_serialized(handler, message), is_progress=_is_progress(message))
        finally:
            self._end(call)
            close = getattr(responses, "close", None)
            if close is not None:
                with suppress(RuntimeError):  # the server has stopped
                    await _ended(asyncio.wrap_future(lane.threads.submit(close)))

    async def _step(self, lane: Lane, call: Call, function: Callable[[], T]) -> T:
        """Run a function in a thread of the lane. If the call ends meanwhile, wait for the function all the same."""
        submitted = lane.threads.submit(function)
        running = asyncio.wrap_future(submitted)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            if not submitted.cancel():
                self._end(call)
                await _ended(running)
            raise

    def _end(self, call: Call) -> None:
        for callback in call.end():
            with suppress(RuntimeError):  # the server has stopped
                self._lanes.ended.submit(callback)


def _no_request(seconds: float, crowded: bool) -> FaceFoundryError:
    message = f"Expected a request within {seconds:g} s. Received none. Send it at once."
    if not crowded:
        return InvalidInput(message, reason="NO_REQUEST")
    return Busy(
        f"{message} This host has {_WAITING_PER_HOST} more calls without one, so it has less time than usual.",
        reason="TOO_MANY_CALLS",
        retry_after_seconds=_CROWDED_SECONDS,
    )


async def _abort(context: _Context, error: FaceFoundryError) -> None:
    status = to_status(error)
    sending = context.abort(status.code, status.details, tuple(status.trailing_metadata))
    with suppress(asyncio.TimeoutError):  # a status waits behind responses that are not taken
        await asyncio.wait_for(sending, _STATUS_SECONDS)


async def _ended(running: asyncio.Future[T]) -> None:
    """Wait for the end of a function in a thread, however often this task is cancelled meanwhile."""
    while not running.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([running])
    running.exception()  # so that asyncio does not report it as forgotten


def _is_progress(response: Message) -> bool:
    """Return whether a response only says how far the work of its call is."""
    return "event" in response.DESCRIPTOR.oneofs_by_name and response.WhichOneof("event") == "progress"


def _serialized(handler: _Handler, response: Message) -> bytes:
    serialize = cast("Callable[[Message], bytes]", handler.response_serializer)
    return serialize(response)
