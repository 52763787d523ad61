"""The folders that a parent and its child share for the time of one call."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

__all__ = ["Workspace"]


@dataclass(frozen=True)
class Workspace:
    """The folders of one call.

    Attributes:
        folder: The folder that holds the others.
        finished: Names of the finished parts of an earlier call that were fetched.
    """

    folder: Path
    finished: tuple[str, ...] = ()

    def input(self, name: str) -> Path:
        """Return the path of a fetched file of the plan."""
        return self.folder / "inputs" / name

    def finished_part(self, name: str) -> Path:
        """Return the path of a fetched part that an earlier call finished."""
        return self.folder / "finished" / name

    def made_part(self, name: str) -> Path:
        """Return the path of a part that the child makes."""
        return self.made / name

    @property
    def inputs(self) -> Path:
        """Folder of the plan's fetched files."""
        return self.folder / "inputs"

    @property
    def made(self) -> Path:
        """Folder of the parts that the child makes."""
        return self.folder / "made"

    def create(self) -> Workspace:
        """Make the folders, and return the workspace with its real path."""
        for name in ("inputs", "finished", "made"):
            (self.folder / name).mkdir(parents=True)
        return replace(self, folder=self.folder.resolve())
