"""Measures what it costs to compute the content digest of what an Extract reads, against the extraction itself.

That of a video is the SHA-256 of its object, which every download computes; that of frames takes another look.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2

from benchmarks.extraction import extract
from benchmarks.material import shots, write_clip
from benchmarks.row import Row, command, interleaved
from facefoundry.storage.frames import FramePacker, content_digest

FRAMES = 48
SIZE = (640, 360)
SHARE = 0.03
"""The most that the content digest may cost, as a share of an extraction."""


def run() -> list[Row]:
    """Return a row for a video, and one for frames, whose content is hashed again after their tars were."""
    pictures = [shot.frame for shot in shots(FRAMES, 150.0, SIZE)]
    with tempfile.TemporaryDirectory() as name:
        folder, frames, tars = Path(name), Path(name) / "frames", []
        frames.mkdir()
        for number, picture in enumerate(pictures):
            cv2.imwrite(str(frames / f"{number:06d}.png"), picture)
        packer = FramePacker()
        for part, data in packer.pack(sorted(frames.iterdir())):
            tars.append(folder / part)
            tars[-1].write_bytes(data)
        clip = write_clip(folder / "clip.mp4", pictures)
        return [
            _row("a video", clip, [clip], lambda: _sha256(clip), _sha256(clip)),
            _row("frames as PNG", frames, tars, lambda: content_digest(tars), packer.content_digest),
        ]


def _row(what: str, clip: Path, files: Sequence[Path], hashed: Callable[[], str], expected: str) -> Row:
    timing = interleaved(lambda: extract(clip, "dlib"), hashed, rounds=2)
    reading = interleaved(lambda: None, lambda: [_sha256(file) for file in files], rounds=2).ours
    total = timing.ours + (reading if clip.is_dir() else 0.0)
    return Row(
        f"content digest of what an Extract reads, {SIZE[0]}x{SIZE[1]}, {what}",
        "s/frame",
        SHARE * timing.reference / FRAMES,
        timing.ours / FRAMES,
        1.0,
        f"{100 * timing.ours / timing.reference:.2f} % of the extraction; with the SHA-256 of the objects "
        f"{100 * total / timing.reference:.2f} %",
        hashed() == expected,
        f"{100 * SHARE:.0f} % of the extraction; {FRAMES} frames, {sum(file.stat().st_size for file in files):,} bytes",
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    command(run)
