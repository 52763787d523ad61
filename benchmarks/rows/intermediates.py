"""Measures the bytes stored between stages, against FF++'s PNG files of frames, faces, converted frames and masks."""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np

from benchmarks.material import shots, write_clip
from benchmarks.reference import media as ffpp
from benchmarks.row import Row, command
from facefoundry.faces import face_tar
from facefoundry.faces.crop import cut
from facefoundry.media.read import open_source
from services.converter import chunks
from services.converter.composite import Patch, composite
from services.converter.labels import Row as Label
from services.converter.mask import MaskOptions

FRAMES = 24
SIZES = (200, 320)
FFPP = MaskOptions("facehullandrect", 0, 2)


def run() -> list[Row]:
    """Return a row for each face size, because more pixels of a frame are stored if its face is larger."""
    return [_row(size) for size in SIZES]


def _row(size: int) -> Row:
    given = shots(FRAMES, size)
    face = np.random.default_rng(0).random((9, 9, 3), np.float32)
    face = np.asarray(cv2.resize(face, (64, 64), interpolation=cv2.INTER_LINEAR), np.float32)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        clip = write_clip(folder / "clip.mp4", [shot.frame for shot in given])
        with open_source(clip) as source:
            targets = list(source)
        crops = [cut(target, shot.matrix, 256, 48) for target, shot in zip(targets, given, strict=True)]
        patches: list[Patch] = []
        chunk = chunks.ChunkWriter(folder / "chunk.tar")
        for number, (target, shot) in enumerate(zip(targets, given, strict=True)):
            patch = composite(target, face, shot.matrix, shot.landmarks, FFPP, "opencv-3.4.1")
            assert patch is not None
            patches.append(patch)
            chunk.add(target, Label(number, True, None, patch.box), patch)
        chunk.close()
        faces = face_tar.pack(dict(enumerate(crops)))
        fakes = [patch.apply(target) for patch, target in zip(patches, targets, strict=True)]
        masks = [patch.box_mask(fake.shape) for patch, fake in zip(patches, fakes, strict=True)]

        read_back = chunks.read(folder / "chunk.tar", range(FRAMES), iter(targets))
        lossless = np.array_equal(face_tar.unpack(faces)[1], np.stack(crops)) and all(
            patch is not None and np.array_equal(patch.apply(target), fake)
            for (target, _, patch), fake in zip(read_back, fakes, strict=True)
        )
        ours = clip.stat().st_size + len(faces) + (folder / "chunk.tar").stat().st_size
        reference = 0
        boxes = [np.asarray(cv2.cvtColor(mask, cv2.COLOR_GRAY2BGR), np.uint8) for mask in masks]
        for name, pictures in (("faces", crops), ("converted", fakes), ("masks", boxes)):
            (folder / name).mkdir()
            reference += sum(path.stat().st_size for path in ffpp.write_pictures(pictures, folder / name))
        (folder / "frames").mkdir()
        reference += sum(path.stat().st_size for path in ffpp.pictures_of(clip, folder / "frames"))
    return Row(
        f"intermediates, 720p, face {size}",
        "B/frame",
        reference / FRAMES,
        ours / FRAMES,
        10,
        "lossless" if lossless else "NOT LOSSLESS",
        lossless,
        "PNG of frames, faces, converted frames and masks; ours the clip, a tar of faces and a chunk",
    )


if __name__ == "__main__":
    command(run)
