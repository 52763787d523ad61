"""System calls for which Python has no function: `prctl`, and those of Landlock and seccomp."""

from __future__ import annotations

import ctypes
import os

__all__ = ["CHILD_SUBREAPER", "DUMPABLE", "NO_NEW_PRIVILEGES", "PARENT_DEATH_SIGNAL", "prctl", "syscall"]

PARENT_DEATH_SIGNAL = 1
"""The option of `prctl` for the signal that this process gets when its parent ends."""

DUMPABLE = 4
"""The option of `prctl` by which, at 0, other processes of the user cannot read this one's memory and environment."""

CHILD_SUBREAPER = 36
"""The option of `prctl` by which this process becomes the parent of descendants whose own parent ends."""

NO_NEW_PRIVILEGES = 38
"""The option of `prctl` that Landlock and seccomp need: this process can gain no rights by starting a program."""

_libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, value: int) -> None:
    """Change a property of this process.

    Raises:
        OSError: the kernel refuses.
    """
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise _error("prctl")


def syscall(number: int, *arguments: int | ctypes.Structure | ctypes.Array[ctypes.c_ubyte] | None) -> int:
    """Make a system call, and return its result.

    Args:
        number: Number of the system call.
        arguments: Its arguments. Structures are passed by their address.

    Raises:
        OSError: the kernel refuses, or has no such system call (ENOSYS).
    """
    passed = [
        ctypes.c_long(value) if isinstance(value, int) else value if value is None else ctypes.byref(value)
        for value in arguments
    ]
    result = int(_libc.syscall(ctypes.c_long(number), *passed))
    if result < 0:
        raise _error(f"system call {number}")
    return result


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")
