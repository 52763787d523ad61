"""Measures what a worker uses: CPU time, time on a GPU, and the energy of that GPU."""

from __future__ import annotations

import time
from collections.abc import Callable

from facefoundry.storage.usage import Usage
from services.trainer.worker import nvml

__all__ = ["Meter"]


class Meter:
    """Measures from its creation on, and adds what earlier workers of the training used.

    Args:
        on_gpu: Whether the worker trains on a GPU.
        before: What the earlier workers used; None if that is unknown.
        joules: Returns the energy that the GPU has used since some time, joules; None where that is unknown.
        cpu: Returns the CPU time of this process, seconds.
    """

    def __init__(
        self,
        on_gpu: bool,
        before: Usage | None,
        *,
        joules: Callable[[], float | None] = nvml.joules,
        cpu: Callable[[], float] = time.process_time,
    ) -> None:
        self._on_gpu, self._before, self._joules, self._cpu = on_gpu, before, joules, cpu
        self._gpu_seconds = 0.0
        self._first = joules() if on_gpu else None

    def add(self, seconds: float) -> None:
        """Add the time of iterations."""
        if self._on_gpu:
            self._gpu_seconds += seconds

    def usage(self) -> Usage | None:
        """Return what all workers of the training have used; None if that is unknown."""
        if self._before is None:
            return None
        return Usage(
            round(self._before.cpu_seconds + self._cpu(), 3),
            round(self._before.gpu_seconds + self._gpu_seconds, 3),
            self._energy(self._before),
        )

    def _energy(self, before: Usage) -> float | None:
        """Return the energy, or None if the energy of any part of the time on a GPU is unknown."""
        now = self._joules() if self._first is not None else None
        if now is None or self._first is None or (before.gpu_seconds and before.energy_joules is None):
            return before.energy_joules if not self._on_gpu else None
        return round((before.energy_joules or 0.0) + now - self._first, 1)
