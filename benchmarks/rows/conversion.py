"""Measures the conversion of a 720p frame without the network: masks, warp and Poisson blending.

FF++'s published script converts every frame twice. Each of the two conversions is called a pass.
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

# What is faithful: the share of values within a level of OpenCV 3.4.1, and the largest difference.
WITHIN = 0.999
LARGEST = 3


def run() -> list[Row]:
    """Return two rows for each face size: against both passes of FF++'s script, and against one."""
    face = cv2.resize(np.random.default_rng(0).random((9, 9, 3), np.float32), (64, 64), interpolation=cv2.INTER_CUBIC)
    return [row for size in SIZES for row in _rows(size, np.clip(face, 0, 1))]


def _rows(size: int, face: NDArray[np.float32]) -> list[Row]:
    given = shots(FRAMES, size)

    def once(shot: Shot, frame: NDArray[np.uint8], *, installed: bool) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        soft = ffpp.soft_mask(frame.shape, shot.matrix, shot.landmarks, installed=installed)
        blend = ffpp.put(frame, face, shot.matrix, soft, installed=installed)
        assert blend is not None and blend.output is not None
        return blend.output, blend.box

    def as_shipped() -> None:
        for shot in given:
            output, _ = once(shot, shot.frame, installed=True)
            once(shot, output, installed=True)

    def ours(shot: Shot) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        patch = composite(shot.frame, face, shot.matrix, shot.landmarks, FFPP, "opencv-3.4.1")
        assert patch is not None
        return patch.apply(shot.frame), patch.box_mask(shot.frame.shape)

    timing = interleaved(as_shipped, lambda: [ours(shot) for shot in given])
    largest, farther, values, equal = 0, 0, 0, True
    for shot in given:
        (expected, expected_box), (output, box) = once(shot, shot.frame, installed=False), ours(shot)
        difference = np.abs(output.astype(np.int16) - expected)
        largest, farther = max(largest, int(difference.max())), farther + int((difference > 1).sum())
        values += 3 * int((box > 0).sum())
        equal = equal and np.array_equal(box, expected_box)
    within = 1 - farther / values
    fidelity = (
        f"{100 * within:.3f} % of values within 1 level of OpenCV 3.4.1, all within {largest}; "
        f"masks {'identical' if equal else 'DIFFER'}"
    )
    stage = f"conversion without the network, 720p, face {size}"
    faithful = within >= WITHIN and largest <= LARGEST and equal
    how = "FF++'s steps over whole frames, with today's OpenCV"
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
