"""Measures the conversion of a 720p frame without the network: masks, warp and Poisson blending.

FF++'s published script converts every frame twice; a pass is one of these conversions.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.material import Shot, shots
from benchmarks.reference import conversion as ffpp
from benchmarks.row import Row, command, interleaved
from services.converter.composite import composite
from services.converter.mask import MaskOptions

FFPP = MaskOptions("facehullandrect", 0, 2)
FRAMES = 4
SIZES = (200, 320)


def run() -> list[Row]:
    """Return two rows for each face size: against both passes of FF++'s script, and against one."""
    face = cv2.resize(np.random.default_rng(0).random((9, 9, 3), np.float32), (64, 64), interpolation=cv2.INTER_CUBIC)
    return [row for size in SIZES for row in _rows(size, np.clip(face, 0, 1))]


def _rows(size: int, face: NDArray[np.float32]) -> list[Row]:
    given = shots(FRAMES, size)

    def once(shot: Shot, frame: NDArray[np.uint8]) -> ffpp.Blend:
        blend = ffpp.put(frame, face, shot.matrix, ffpp.soft_mask(frame.shape, shot.matrix, shot.landmarks))
        assert blend is not None and blend.output is not None
        return blend

    def as_shipped() -> None:
        for shot in given:
            output = once(shot, shot.frame).output
            assert output is not None
            once(shot, output)

    def ours(shot: Shot) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        patch = composite(shot.frame, face, shot.matrix, shot.landmarks, FFPP, True)
        assert patch is not None
        return patch.apply(shot.frame), patch.box_mask(shot.frame.shape)

    timing = interleaved(as_shipped, lambda: [ours(shot) for shot in given])
    largest, equal = 0, True
    for shot in given:
        expected, (output, box) = once(shot, shot.frame), ours(shot)
        assert expected.output is not None
        largest = max(largest, int(np.abs(output.astype(np.int16) - expected.output).max()))
        equal = equal and np.array_equal(box, expected.box)
    fidelity = f"{largest} level from cv2.seamlessClone at most; masks {'identical' if equal else 'DIFFER'}"
    stage = f"conversion without the network, 720p, face {size}"
    faithful, how = largest <= 1 and equal, "FF++'s steps over whole frames"
    reference, our_time = timing.reference / FRAMES, timing.ours / FRAMES
    first = timing.first_ours
    return [
        Row(
            f"{stage}: as shipped", "s/frame", reference, our_time, 15, fidelity, faithful, f"{how}, two passes", first
        ),
        Row(
            f"{stage}: one pass", "s/frame", reference / 2, our_time, 7, fidelity, faithful, f"{how}, half of it", first
        ),
    ]


if __name__ == "__main__":
    command(run)
