"""The folders and file names of FaceForensics++, which the code of deepfake detectors expects.

original_sequences/youtube/<level>/videos/<id>.mp4
manipulated_sequences/Deepfakes/<level>/videos/<target>_<source>.mp4
manipulated_sequences/Deepfakes/{masks,masks_blend,masks_changed}/videos/<target>_<source>.mp4
manipulated_sequences/Deepfakes/labels/<target>_<source>.json
manipulated_sequences/Deepfakes/models/<A>_<B>/
faces/<id>/<frame>.png, alignments/<id>.json
misc/filelist.json, misc/report/, report.html
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from facefoundry.dataset.layout import Layout

__all__ = ["FfppLayout"]


class FfppLayout(Layout):
    """Names the paths of a dataset as FF++ does."""

    name: ClassVar[str] = "ffpp"

    def real_video(self, level: str, sequence: str) -> Path:
        """Return the path of a real video at a compression level."""
        return self.root / "original_sequences" / "youtube" / level / "videos" / f"{sequence}.mp4"

    def fake_video(self, level: str, fake: str) -> Path:
        """Return the path of the video of a fake at a compression level."""
        return self._fakes / level / "videos" / f"{fake}.mp4"

    def mask_video(self, kind: str, fake: str) -> Path:
        """Return the path of a mask video; `kind` is one of `storage.parts.MASKS`."""
        return self._fakes / kind / "videos" / f"{fake}.mp4"

    def labels(self, fake: str) -> Path:
        """Return the path of the labels of a fake."""
        return self._fakes / "labels" / f"{fake}.json"

    def models(self) -> Path:
        """Return the folder of all models."""
        return self._fakes / "models"

    def faces(self, sequence: str) -> Path:
        """Return the folder of a sequence's face crops."""
        return self.root / "faces" / sequence

    def alignments(self, sequence: str) -> Path:
        """Return the path of a sequence's alignments."""
        return self.root / "alignments" / f"{sequence}.json"

    def filelist(self) -> Path:
        """Return the path of the file with the pairs of the run."""
        return self.root / "misc" / "filelist.json"

    def run_folder(self) -> Path:
        """Return the folder of the run record and of the report's pictures."""
        return self.root / "misc" / "report"

    def report_page(self) -> Path:
        """Return the path of the report page."""
        return self.root / "report.html"

    @property
    def _fakes(self) -> Path:
        return self.root / "manipulated_sequences" / "Deepfakes"
