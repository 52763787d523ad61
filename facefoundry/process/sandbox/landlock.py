"""Landlock: the kernel's rules by which a process gives up files, TCP, and signals to other processes, for good.

The rules hold for the process, its later threads and its descendants, also for root. They need Linux 5.13; each later
version of the interface (ABI) can forbid more.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from facefoundry.process.sandbox.kernel import NO_NEW_PRIVILEGES, prctl, syscall

__all__ = ["restrict", "version"]

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_TRUNCATE = 1 << 14
_READ = _READ_FILE | _READ_DIR
# No symbolic links, devices, sockets and pipes: the service reads these folders.
_WRITE = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _TRUNCATE
_OF_FILES = _WRITE_FILE | _READ_FILE | _TRUNCATE

_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}  # numbers of rights on files, by the first version that has them
_ALL_TCP, _TCP_SINCE = 0b11, 4
_ALL_SCOPES, _SCOPES_SINCE = 0b11, 6


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("tcp", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def version() -> int:
    """Return the version of Landlock's interface that this kernel has; 0 if it has none, or it is switched off."""
    try:
        return syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)
    except OSError:
        return 0


def restrict(readable: Iterable[Path], writable: Iterable[Path]) -> None:
    """Give up all files but the given ones, and as far as the kernel can, TCP and signals to other processes.

    Open files stay open. No symbolic link, device, socket or pipe can be made any more, and no program be started.

    Args:
        readable: Files, and folders with all that is below them, to read; what does not exist is left out.
        writable: Files and folders to read and write.

    Raises:
        OSError: the kernel refuses.
    """
    abi = version()
    rights = (1 << max(count for since, count in _FILE_RIGHTS.items() if since <= abi)) - 1
    ruleset = _Ruleset(rights, _ALL_TCP * (abi >= _TCP_SINCE), _ALL_SCOPES * (abi >= _SCOPES_SINCE))
    size = 24 if abi >= _SCOPES_SINCE else 16 if abi >= _TCP_SINCE else 8
    rules = syscall(_CREATE_RULESET, ruleset, size, 0)
    try:
        for paths, wanted in ((readable, _READ), (writable, _WRITE)):
            for path in paths:
                _allow(rules, path, wanted & rights)
        prctl(NO_NEW_PRIVILEGES, 1)
        syscall(_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: Path, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        if not stat.S_ISDIR(os.fstat(opened).st_mode):
            rights &= _OF_FILES
        syscall(_ADD_RULE, rules, _PATH_BENEATH, _Beneath(rights, opened), 0)
    finally:
        os.close(opened)
