"""Slots: they limit how many heavy calls a replica, one process of a service, runs at once."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from facefoundry.errors import Busy
from facefoundry.telemetry import SLOTS, SLOTS_IN_USE

__all__ = ["Slots"]


class Slots:
    """The slots of a replica: each heavy call holds one. A replica without a free slot refuses further heavy calls.

    Args:
        service: Name of the service.
        number: How many heavy calls run at once.
        retry_after_seconds: Mean time after which a refused caller should try again.
    """

    def __init__(self, service: str, number: int, retry_after_seconds: float = 2.0) -> None:
        self.number = number
        self._service = service
        self._retry_after_seconds = retry_after_seconds
        self._in_use = 0
        self._lock = threading.Lock()
        SLOTS.labels(service).set(number)
        SLOTS_IN_USE.labels(service).set(0)

    @property
    def in_use(self) -> int:
        """The number of slots in use now."""
        return self._in_use

    @contextmanager
    def take(self) -> Iterator[None]:
        """Hold a slot during the block.

        Raises:
            Busy: no slot is free. Its retry time is random, so that the refused callers do not all return at once.
        """
        with self._lock:
            if self._in_use >= self.number:
                raise Busy(
                    f"All {self.number} slots of this {self._service} are in use. Call another replica or retry later.",
                    retry_after_seconds=self._retry_after_seconds * random.uniform(0.5, 1.5),
                )
            self._in_use += 1
            SLOTS_IN_USE.labels(self._service).set(self._in_use)
        try:
            yield
        finally:
            with self._lock:
                self._in_use -= 1
                SLOTS_IN_USE.labels(self._service).set(self._in_use)
