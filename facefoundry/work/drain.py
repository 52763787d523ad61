"""When the calls of a stopping process end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from facefoundry.errors import Interrupted

__all__ = ["Drain"]

_WORK_SHARE = 0.8  # of the drain time; the rest is for closing what a call holds
_RETRY_SECONDS = 1.0


class Drain:
    """The one rule: no new work; a running call ends at its next finished part, or after most of the drain time.

    Args:
        service: Name of the service, for messages.
        stopping: Set when the process stops.
        seconds: Drain time.
        clock: Returns seconds.
    """

    def __init__(
        self, service: str, stopping: threading.Event, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._service, self._stopping, self._clock = service, stopping, clock
        self._work_seconds = _WORK_SHARE * seconds
        self._since: float | None = None

    def refuse(self) -> None:
        """Refuse new work.

        Raises:
            Interrupted: this process is stopping.
        """
        if self._stopping.is_set():
            raise Interrupted(
                f"This {self._service} is stopping; ask another replica.", retry_after_seconds=_RETRY_SECONDS
            )

    def check(self, part_is_finished: bool = False) -> None:
        """End a running call if it is time.

        Args:
            part_is_finished: A later call can go on from here.

        Raises:
            Interrupted: this process is stopping.
        """
        if not self._stopping.is_set():
            return
        if self._since is None:
            self._since = self._clock()
        if part_is_finished or self._clock() - self._since > self._work_seconds:
            raise Interrupted(
                f"This {self._service} is stopping. Finished parts are kept: make the same call again to go on.",
                retry_after_seconds=_RETRY_SECONDS,
            )
