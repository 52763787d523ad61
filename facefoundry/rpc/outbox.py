"""Responses on their way to a caller who may be slow to take them, or take none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, cast

from facefoundry.errors import Busy

__all__ = ["Outbox"]

_SHARE = 1 / 6
"""How long the work of a call waits for its caller in all, as a share of the time for one response. A caller who is
fast enough gets every response."""

_RETRY_SECONDS = 1.0


class Outbox:
    """Sends the responses of one call, in order. Its work does not wait for a slow caller.

    Progress that still waits when the next response comes is replaced by it; no other response is ever left out. It is
    made in the event loop of the server.

    Args:
        write: Sends a response, and returns when the caller's connection has taken it.
        seconds: How long the caller may take for one response.
    """

    def __init__(self, write: Callable[[bytes], Awaitable[None]], seconds: float) -> None:
        self._write, self._seconds, self._rest = write, seconds, _SHARE * seconds
        self._waiting: bytes | None = None
        self._is_progress = False
        self._sending: asyncio.Task[None] | None = None
        self._since = 0.0

    async def put(self, response: bytes, *, is_progress: bool = False) -> None:
        """Send a response, in the place of progress that still waits.

        Args:
            response: The response.
            is_progress: Whether a newer response makes it superfluous.

        Raises:
            Busy: the caller takes no responses (RESPONSE_NOT_TAKEN).
        """
        while self._waiting is not None and not self._is_progress:
            await self._wait(self._left())
        if self._sending is None or (self._sending.done() and self._waiting is None):
            self._send(response)
        else:
            self._waiting, self._is_progress = response, is_progress
        begin = time.monotonic()
        while not self._is_idle() and (left := self._rest - (time.monotonic() - begin)) > 0:
            await self._wait(min(left, self._left()))
        self._rest = max(0.0, self._rest - (time.monotonic() - begin))
        self._check()

    async def finish(self) -> None:
        """Wait until the caller has taken the last response. It raises the same error as `put`."""
        while not self._is_idle():
            await self._wait(self._left())
        self._check()

    def close(self) -> None:
        """Send nothing more."""
        self._waiting = None
        if self._sending is not None:
            self._sending.cancel()

    def _send(self, response: bytes) -> None:
        self._since = time.monotonic()
        self._sending = asyncio.create_task(cast("Coroutine[Any, Any, None]", self._write(response)))
        self._sending.add_done_callback(self._send_next)

    def _send_next(self, sent: asyncio.Task[None]) -> None:
        if self._waiting is not None and not sent.cancelled() and sent.exception() is None:
            response, self._waiting = self._waiting, None
            self._send(response)

    def _is_idle(self) -> bool:
        return self._waiting is None and (self._sending is None or self._sending.done())

    async def _wait(self, seconds: float) -> None:
        """Wait for the response that is being sent."""
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=max(0.0, seconds))
            await asyncio.sleep(0)  # the next one is sent by then
        self._check()

    def _left(self) -> float:
        """Return how long the caller may still take for the response that is being sent."""
        return self._since + self._seconds - time.monotonic()

    def _check(self) -> None:
        if self._sending is None:
            return
        if self._sending.done():
            self._sending.result()
        elif self._left() <= 0:
            raise Busy(
                f"Expected the caller to take each response within {self._seconds:g} s. It took none, so the call "
                "ended, and others can be served. Finished parts are kept. Repeat the call, and read its responses.",
                reason="RESPONSE_NOT_TAKEN",
                retry_after_seconds=_RETRY_SECONDS,
            )
