"""The local folders through which a service and its sandbox exchange files during one call."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

__all__ = ["Workspace"]

_FOLDERS = ("inputs", "finished", "made", "temporary")


@dataclass(frozen=True)
class Workspace:
    """The folders of one call: `inputs` and `finished`, which the service writes, and `made` and `temporary`.

    The sandbox reads all of them, and writes the latter two.

    Attributes:
        folder: The folder that contains them.
        finished: Names of the parts that an earlier call finished and this call fetched into `finished`.
    """

    folder: Path
    finished: tuple[str, ...] = ()

    def input(self, name: str) -> Path:
        """Return the path of an input file that was fetched for this call."""
        return self.folder / "inputs" / name

    def finished_part(self, name: str) -> Path:
        """Return the path of a part that an earlier call finished and that was fetched for this call."""
        return self.folder / "finished" / name

    def made_part(self, name: str) -> Path:
        """Return the path of a part that the sandbox makes."""
        return self.made / name

    @property
    def inputs(self) -> Path:
        """The folder of the input files that were fetched for this call."""
        return self.folder / "inputs"

    @property
    def made(self) -> Path:
        """The folder of the parts that the sandbox makes."""
        return self.folder / "made"

    @property
    def temporary(self) -> Path:
        """The folder of the temporary files of libraries."""
        return self.folder / "temporary"

    def create(self) -> Workspace:
        """Create the folders, and return the workspace with the path of `folder` resolved (without symbolic links)."""
        for name in _FOLDERS:
            (self.folder / name).mkdir(parents=True)
        return replace(self, folder=self.folder.resolve())

    def open(self, path: Path) -> BinaryIO:
        """Open a file in the folders to read. No link is followed: the sandbox may have made one, at any time.

        Raises:
            OSError: there is no such file, or it is no regular file of one name.
        """
        *parents, name = path.relative_to(self.folder).parts
        folder = self._enter(*parents)
        try:
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        finally:
            os.close(folder)
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            os.close(file)
            raise OSError(errno.ELOOP, "no regular file of one name", str(path))
        return os.fdopen(file, "rb")

    def _enter(self, *names: str) -> int:
        """Return a descriptor of a folder. No link is followed."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        entered = os.open(self.folder, flags)
        for name in names:
            try:
                inner = os.open(name, flags, dir_fd=entered)
            finally:
                os.close(entered)
            entered = inner
        return entered
