"""Admission: how many heavy calls a replica works on at once."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from facefoundry.errors import Busy
from facefoundry.telemetry import SLOTS, SLOTS_IN_USE

__all__ = ["Slots"]


class Slots:
    """A number of places; a full replica refuses further calls and stays healthy."""

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
        """Places taken now."""
        return self._in_use

    @contextmanager
    def take(self) -> Iterator[None]:
        """Hold a place for the time of the block.

        Raises:
            Busy: all are taken; says when to ask again, spread so that waiting callers do not come back at once.
        """
        with self._lock:
            if self._in_use >= self.number:
                raise Busy(
                    f"All {self.number} slots of this {self._service} are taken; ask another replica or try again.",
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
