"""Reads the energy of a GPU from NVML, the library of NVIDIA's driver. No package is needed for it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

__all__ = ["Call", "joules", "joules_by"]

_LIBRARY = "libnvidia-ml.so.1"
_SUCCESS = 0
_MILLI = 1e-3

Call = Callable[..., int]
"""Calls a function of NVML by its name, with its arguments. The result is 0 if it succeeded."""


def joules() -> float | None:
    """Return the energy that this machine's GPU has used since its driver was loaded, as `joules_by` does."""
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        return None
    return joules_by(lambda name, *arguments: int(getattr(library, name)(*arguments)))


def joules_by(call: Call) -> float | None:
    """Return the energy of the only GPU that NVML sees.

    Args:
        call: Calls NVML. It raises AttributeError for a function that an old driver does not have.

    Returns:
        The energy, joules. None if NVML sees several GPUs, one that is divided by MIG, or one that does not measure it:
        then nobody can tell what this process used.
    """
    try:
        if call("nvmlInit_v2") != _SUCCESS:
            return None
    except AttributeError:
        return None
    try:
        return _only_gpu(call)
    except AttributeError:
        return None
    finally:
        call("nvmlShutdown")


def _only_gpu(call: Call) -> float | None:
    count, gpu = ctypes.c_uint(), ctypes.c_void_p()
    divided, pending, energy = ctypes.c_uint(), ctypes.c_uint(), ctypes.c_ulonglong()
    if call("nvmlDeviceGetCount_v2", ctypes.byref(count)) != _SUCCESS or count.value != 1:
        return None
    if call("nvmlDeviceGetHandleByIndex_v2", 0, ctypes.byref(gpu)) != _SUCCESS:
        return None
    if call("nvmlDeviceGetMigMode", gpu, ctypes.byref(divided), ctypes.byref(pending)) == _SUCCESS and divided.value:
        return None
    if call("nvmlDeviceGetTotalEnergyConsumption", gpu, ctypes.byref(energy)) != _SUCCESS:
        return None
    return energy.value * _MILLI
