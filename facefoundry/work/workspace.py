"""The local folders through which a service and its sandbox exchange files during one call."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

__all__ = ["Workspace"]


@dataclass(frozen=True)
class Workspace:
    """The folders of one call: `inputs`, `finished` and `made`.

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

    def create(self) -> Workspace:
        """Create the folders, and return the workspace with the path of `folder` resolved (without symbolic links)."""
        for name in ("inputs", "finished", "made"):
            (self.folder / name).mkdir(parents=True)
        return replace(self, folder=self.folder.resolve())
