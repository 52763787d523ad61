"""What the making of a result used, as its manifest says."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Usage"]


@dataclass(frozen=True)
class Usage:
    """What the call or the workers that finished a result used. Work that was lost when one was killed is not counted.

    Attributes:
        cpu_seconds: CPU time of the processes that computed.
        gpu_seconds: Time of iterations on a GPU; 0 without one.
        energy_joules: Energy of that GPU from the start of each worker on; null where NVML does not tell it.
    """

    cpu_seconds: float = 0.0
    gpu_seconds: float = 0.0
    energy_joules: float | None = None

    def plus(self, other: Usage) -> Usage:
        """Return what both used together; the energy is null if that of one is."""
        energies = (self.energy_joules, other.energy_joules)
        return Usage(
            self.cpu_seconds + other.cpu_seconds,
            self.gpu_seconds + other.gpu_seconds,
            None if None in energies else sum(energy for energy in energies if energy is not None),
        )
