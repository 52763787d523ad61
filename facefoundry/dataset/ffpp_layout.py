"""Where everything lies in a finished dataset: the folders of FaceForensics++, as detectors read them.

original_sequences/youtube/<level>/videos/<id>.mp4
manipulated_sequences/Deepfakes/<level>/videos/<target>_<source>.mp4
manipulated_sequences/Deepfakes/{masks,masks_blend,masks_changed}/videos/<target>_<source>.mp4
manipulated_sequences/Deepfakes/labels/<target>_<source>.json
manipulated_sequences/Deepfakes/models/<A>_<B>/
misc/filelist.json, misc/report/
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["Layout"]


class Layout:
    """Paths below one output folder; it makes the folders it names."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._fakes = root / "manipulated_sequences" / "Deepfakes"

    def real_video(self, level: str, sequence: str) -> Path:
        """A real sequence at a compression level."""
        return _in(self.root / "original_sequences" / "youtube" / level / "videos", f"{sequence}.mp4")

    def fake_video(self, level: str, fake: str) -> Path:
        """A manipulated sequence at a compression level."""
        return _in(self._fakes / level / "videos", f"{fake}.mp4")

    def mask_video(self, kind: str, fake: str) -> Path:
        """A mask video; masks do not depend on compression."""
        return _in(self._fakes / kind / "videos", f"{fake}.mp4")

    def labels(self, fake: str) -> Path:
        """Per-frame labels of a manipulated sequence."""
        return _in(self._fakes / "labels", f"{fake}.json")

    def model(self, pair: str) -> Path:
        """Folder of a pair's model."""
        return _folder(self._fakes / "models" / pair)

    def models(self) -> Path:
        """Folder of all models."""
        return self._fakes / "models"

    def faces(self, sequence: str) -> Path:
        """Folder of a sequence's face crops."""
        return _folder(self.root / "faces" / sequence)

    def alignments(self, sequence: str) -> Path:
        """Alignments of a sequence in faceswap's 2018 form."""
        return _in(self.root / "alignments", f"{sequence}.json")

    def filelist(self) -> Path:
        """The pairs, as a filelist that can be given again."""
        return _in(self.root / "misc", "filelist.json")

    def report(self) -> Path:
        """Folder of the run record and its pictures."""
        return _folder(self.root / "misc" / "report")


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _in(folder: Path, name: str) -> Path:
    return _folder(folder) / name
