"""Admission control: how many heavy calls a replica runs at once."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from facefoundry.errors import Busy
from facefoundry.telemetry import SLOTS, SLOTS_IN_USE

__all__ = ["Slots"]


class Slots:
    """The slots of a replica. A full replica refuses further heavy calls and stays healthy."""

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
        """Slots in use now."""
        return self._in_use

    @contextmanager
    def take(self) -> Iterator[None]:
        """Hold a slot for the duration of the block.

        Raises:
            Busy: no slot is free. Its retry time is random, so that waiting callers do not all return at once.
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
