"""Measures how a stage gets the frames of a video: by decoding it, against PNG files that another stage writes."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.material import shots, write_clip
from benchmarks.reference import media as ffpp
from benchmarks.row import Row, command, interleaved
from facefoundry.media.read import open_source

FRAMES = 200
PICTURES = 6  # fewer, as files take much longer


def run() -> list[Row]:
    """Return one row. The reference writes every PNG file once and reads it once."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        clip = write_clip(folder / "clip.mp4", [shot.frame for shot in shots(FRAMES)])
        beginning = write_clip(folder / "beginning.mp4", [shot.frame for shot in shots(PICTURES)])

        def by_files() -> list[np.ndarray]:
            pictures = folder / "pictures"
            shutil.rmtree(pictures, ignore_errors=True)
            pictures.mkdir()
            return ffpp.read_pictures(ffpp.pictures_of(beginning, pictures))

        def by_decoding() -> None:
            with open_source(clip) as source:
                for _ in source:
                    pass

        timing = interleaved(by_files, by_decoding, rounds=5)
        with open_source(beginning) as source:
            equal = all(np.array_equal(*pair) for pair in zip(by_files(), source, strict=True))
    return [
        Row(
            "frames of a 720p video",
            "s/frame",
            timing.reference / PICTURES,
            timing.ours / FRAMES,
            50,
            f"pixels {'identical' if equal else 'DIFFER'}",
            equal,
            "libav writes PNG files, cv2.imread reads them once",
            timing.first_ours,
        )
    ]


if __name__ == "__main__":
    command(run)
