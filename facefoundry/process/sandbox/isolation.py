"""Isolation of a sandbox's child: which files it may open, and what the kernel lets it give up.

`Isolation.apply` runs in the child, before any file from a stranger is opened.
"""

from __future__ import annotations

import os
import resource
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from facefoundry.errors import InvalidInput
from facefoundry.process.sandbox import landlock, seccomp

__all__ = ["Available", "Isolation", "available"]

# What Python and numerical libraries read when they load: programs' files, the time zone, and facts about the machine.
_SYSTEM = (
    "/usr /lib /lib64 /etc/ld.so.cache /etc/localtime /etc/ssl/openssl.cnf /sys/devices/system /sys/fs/cgroup "
    "/proc/self /proc/cpuinfo /proc/meminfo /proc/stat /proc/version /proc/filesystems /proc/sys/vm "
    "/proc/sys/kernel /dev/zero /dev/random /dev/urandom"
)
_DEVICES = (Path("/dev/null"),)


@dataclass(frozen=True)
class Available:
    """What the kernel has for the isolation of processes.

    Attributes:
        landlock: Version of Landlock's interface; 0 without Landlock.
        seccomp: Whether there are seccomp filters.
    """

    landlock: int
    seccomp: bool

    def require(self) -> None:
        """Raise an error if something is missing.

        Raises:
            InvalidInput: the kernel has no Landlock or no seccomp filters (ISOLATION).
        """
        missing = [name for name, has in (("Landlock", self.landlock), ("seccomp", self.seccomp)) if not has]
        if missing:
            raise InvalidInput(
                f"Expected a kernel with Landlock and seccomp, as FACEFOUNDRY_SANDBOX_ISOLATION=required says. "
                f"Received one without {' and '.join(missing)}. Use a kernel of Linux 5.13 or later with these, or set "
                "FACEFOUNDRY_SANDBOX_ISOLATION=available.",
                reason="ISOLATION",
            )


def available() -> Available:
    """Return what this kernel has."""
    return Available(landlock.version(), seccomp.available())


@dataclass(frozen=True)
class Isolation:
    """What a child may do besides computing.

    Attributes:
        folder: The folder of the child, which it may read. All files in it count for the limit of disk space.
        writable: Folders in it that the child may write too.
        temporary: Another one, for the temporary files of libraries.
        readable: Further folders that the child may read, besides programs and libraries.
        processes: Most processes and threads that the user of the child may have in all; 0 for no limit.
        kernel: Whether to use Landlock and seccomp, where the kernel has them.
    """

    folder: Path
    writable: tuple[Path, ...]
    temporary: Path
    readable: tuple[Path, ...] = ()
    processes: int = 0
    kernel: bool = True

    def apply(self) -> None:
        """Give up, in this process and for good, what the child does not need.

        Raises:
            OSError: the kernel has Landlock or seccomp, and refuses.
        """
        if self.processes:
            _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
            limit = self.processes if hard == resource.RLIM_INFINITY else min(self.processes, hard)
            resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
        if not self.kernel:
            return
        if landlock.version():
            readable = [*_program(), self.folder, *self.readable]
            landlock.restrict(readable, [*_DEVICES, *self.writable, self.temporary])
        if seccomp.available():
            seccomp.restrict()


def _program() -> list[Path]:
    """Return the files and folders of this program and its libraries."""
    # A package that is installed to be edited is below no folder of sys.path.
    loaded = tuple(sys.modules.items())  # other threads may import meanwhile
    packages = {path for name, module in loaded if "." not in name for path in getattr(module, "__path__", ())}
    python = [sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"), *sys.path, *packages]
    return [Path(path) for path in _SYSTEM.split()] + [Path(path) for path in python if path and path != os.sep]
