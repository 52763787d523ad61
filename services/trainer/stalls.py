"""Counts trainings whose worker is silent, for the metric `facefoundry_trainings_stalled`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from facefoundry.telemetry import TRAININGS_STALLED

__all__ = ["Stalls"]

# A training that nobody asks for any more must not be counted for ever.
_SECONDS = 300.0


class Stalls:
    """The trainings that this process has seen to be stalled in the last 5 minutes.

    Args:
        backend: Name of the backend, for the metric.
        clock: Returns a monotonic time, seconds.
    """

    def __init__(self, backend: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()
        TRAININGS_STALLED.labels(backend).set_function(self.count)

    def see(self, training: str, *, is_stalled: bool) -> None:
        """Note whether a training is stalled now."""
        with self._lock:
            if is_stalled:
                self._seen[training] = self._clock()
            else:
                self._seen.pop(training, None)

    def count(self) -> float:
        """Return the number of stalled trainings."""
        with self._lock:
            since = self._clock() - _SECONDS
            self._seen = {training: seen for training, seen in self._seen.items() if seen > since}
            return float(len(self._seen))
