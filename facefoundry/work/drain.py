"""Decides when running calls end after the service was asked to stop (SIGTERM)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from facefoundry.errors import Interrupted

__all__ = ["Drain"]

_WORK_SHARE = 0.8  # of the drain time; the rest is for closing files, sandboxes and connections
_RETRY_SECONDS = 1.0


class Drain:
    """Ends running calls when the service stops: at the next finished part, or after 80 % of the drain time.

    `refuse` also keeps new calls from starting.

    Args:
        service: Name of the service, for messages.
        stopping: Set when the process stops.
        seconds: Drain time: how long running calls may take to end.
        clock: Monotonic time in seconds.
    """

    def __init__(
        self, service: str, stopping: threading.Event, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._service, self._stopping, self._clock = service, stopping, clock
        self._work_seconds = _WORK_SHARE * seconds
        self._since: float | None = None

    def refuse(self) -> None:
        """Raise an error if the service is stopping; call this before new work.

        Raises:
            Interrupted: the service is stopping.
        """
        if self._stopping.is_set():
            raise Interrupted(
                f"This {self._service} is stopping and accepts no new work. Call another replica.",
                retry_after_seconds=_RETRY_SECONDS,
            )

    def check(self, part_is_finished: bool = False) -> None:
        """Raise an error if a running call must end now.

        Args:
            part_is_finished: Whether the call has just finished a part from which a later call can resume.

        Raises:
            Interrupted: the service is stopping, and a part is finished or 80 % of the drain time is over.
        """
        if not self._stopping.is_set():
            return
        if self._since is None:
            self._since = self._clock()
        if part_is_finished or self._clock() - self._since > self._work_seconds:
            raise Interrupted(
                f"This {self._service} is stopping. Finished parts are kept. Repeat the call to continue.",
                retry_after_seconds=_RETRY_SECONDS,
            )
