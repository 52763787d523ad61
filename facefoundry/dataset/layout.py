"""Defines which paths the layout of a dataset names. Implement `Layout` to write a dataset to other folders.

A layout only names paths. `facefoundry.dataset.files` makes the folders when it writes files. The name of a level
has letters and digits only and is never `masks`, `models` or `labels`, so it cannot clash with folders of these names.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

__all__ = ["Layout"]


class Layout(ABC):
    """Names the paths of all files of one dataset. Its methods do not access the disk.

    Attributes:
        name: Name of the layout in the run record and for `--layout`.
        root: Folder of the whole dataset.
    """

    name: ClassVar[str]

    def __init__(self, root: Path) -> None:
        self.root = root

    @abstractmethod
    def real_video(self, level: str, sequence: str) -> Path:
        """Return the path of a real video at a compression level.

        Args:
            level: Name of the compression level, such as `c23`.
            sequence: Id of the sequence.
        """

    @abstractmethod
    def fake_video(self, level: str, fake: str) -> Path:
        """Return the path of the video of a fake at a compression level.

        Args:
            level: Name of the compression level, such as `c23`.
            fake: Id of the fake, `<target>_<source>`.
        """

    @abstractmethod
    def mask_video(self, kind: str, fake: str) -> Path:
        """Return the path of a mask video; `kind` is one of `storage.parts.MASKS`. Masks have no compression levels."""

    @abstractmethod
    def labels(self, fake: str) -> Path:
        """Return the path of the JSON file with the labels of a fake."""

    @abstractmethod
    def models(self) -> Path:
        """Return the folder of all models; each model is a folder `<A>_<B>` in it."""

    @abstractmethod
    def faces(self, sequence: str) -> Path:
        """Return the folder of a sequence's face crops."""

    @abstractmethod
    def alignments(self, sequence: str) -> Path:
        """Return the path of a sequence's alignments in faceswap's 2018 format."""

    @abstractmethod
    def filelist(self) -> Path:
        """Return the path of the JSON file with the pairs of the run, in the format that `--filelist` reads."""

    @abstractmethod
    def run_folder(self) -> Path:
        """Return the folder of the run record and of the report's pictures."""

    @abstractmethod
    def report_page(self) -> Path:
        """Return the path of the report page."""
