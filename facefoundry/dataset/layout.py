"""Where the files of a dataset lie. Implement `Layout` to export a dataset into other folders.

A layout only names paths. Folders are made where files are written, in `facefoundry.dataset.files`. The name of a level
has letters and digits only and is never `masks`, `models` or `labels`, so it cannot clash with folders of these names.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

__all__ = ["Layout"]


class Layout(ABC):
    """Paths of everything in one dataset. Its methods never touch the disk.

    Attributes:
        name: Name of the layout in the run record and for `--layout`.
        root: Folder of the whole dataset.
    """

    name: ClassVar[str]

    def __init__(self, root: Path) -> None:
        self.root = root

    @abstractmethod
    def real_video(self, level: str, sequence: str) -> Path:
        """Return the path of the video of a real sequence at a compression level."""

    @abstractmethod
    def fake_video(self, level: str, fake: str) -> Path:
        """Return the path of the video of a manipulated sequence at a compression level."""

    @abstractmethod
    def mask_video(self, kind: str, fake: str) -> Path:
        """Return the path of a mask video; `kind` is one of `storage.parts.MASKS`. Masks have no compression levels."""

    @abstractmethod
    def labels(self, fake: str) -> Path:
        """Return the path of the JSON file with the labels of a manipulated sequence."""

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
        """Return the path of the file with the pairs of the run, in the format that `--filelist` reads."""

    @abstractmethod
    def run_folder(self) -> Path:
        """Return the folder of the run record and of the report's pictures."""

    @abstractmethod
    def report_page(self) -> Path:
        """Return the path of the report page."""
