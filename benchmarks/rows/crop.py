"""Measures how a face is cut out of a 720p frame: the crop of 256 pixels that the extractor stores."""

from __future__ import annotations

import cv2
import numpy as np

from benchmarks.material import shots
from benchmarks.reference import extraction as ffpp
from benchmarks.row import Row, command, interleaved
from facefoundry.faces.crop import crop_matrix, cut

SHOTS = 12
ROUNDS = 25
SIZE, PADDING = 256, 48


def run() -> list[Row]:
    """Return one row. The reference is the installed OpenCV's warp, whose pixels are not those of OpenCV 3.4.1."""
    given = shots(SHOTS)

    def installed() -> None:
        for shot in given:
            cv2.warpAffine(shot.frame, crop_matrix(shot.matrix, SIZE, PADDING), (SIZE, SIZE), flags=cv2.INTER_LINEAR)

    def ours() -> None:
        for shot in given:
            cut(shot.frame, shot.matrix, SIZE, PADDING)

    timing = interleaved(installed, ours, ROUNDS)
    equal = all(
        np.array_equal(cut(shot.frame, shot.matrix, SIZE, PADDING), ffpp.crop(shot.frame, shot.matrix, SIZE, PADDING))
        for shot in given
    )
    return [
        Row(
            "crop of 256 pixels, 720p, face 200",
            "s/frame",
            timing.reference / SHOTS,
            timing.ours / SHOTS,
            0.95,
            f"pixels {'identical to' if equal else 'DIFFER from'} OpenCV 3.4.1's",
            equal,
            "cv2.warpAffine of the installed OpenCV, which does not round points to 32nds",
            timing.first_ours,
        )
    ]


if __name__ == "__main__":
    command(run)
