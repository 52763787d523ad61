"""A second layout, as another package would add it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from facefoundry.dataset.layout import Layout


class FlatLayout(Layout):
    """Two folders by class, as an image classifier expects them, and one for everything else."""

    name: ClassVar[str] = "flat"

    def real_video(self, level: str, sequence: str) -> Path:
        return self.root / "real" / f"{sequence}-{level}.mp4"

    def fake_video(self, level: str, fake: str) -> Path:
        return self.root / "fake" / f"{fake}-{level}.mp4"

    def mask_video(self, kind: str, fake: str) -> Path:
        return self.root / "extra" / f"{fake}-{kind}.mp4"

    def labels(self, fake: str) -> Path:
        return self.root / "extra" / f"{fake}-labels.json"

    def models(self) -> Path:
        return self.root / "extra" / "models"

    def faces(self, sequence: str) -> Path:
        return self.root / "extra" / "faces" / sequence

    def alignments(self, sequence: str) -> Path:
        return self.root / "extra" / f"{sequence}-alignments.json"

    def filelist(self) -> Path:
        return self.root / "extra" / "pairs.json"

    def run_folder(self) -> Path:
        return self.root / "extra" / "run"

    def report_page(self) -> Path:
        return self.root / "index.html"
