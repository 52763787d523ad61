"""The network CenterFace: faces of any turn in a picture, each with a score and five points."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry.errors import DataLoss
from services.extractor.boxes import iou
from services.extractor.engines.centerface import ENGINE
from services.extractor.engines.centerface.upright import Frame, Points, box_of
from services.extractor.engines.levels import stretched

__all__ = ["CenterFace", "faces_in"]

_SHA256: Final = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
# Names of the outputs: scores of cells, sizes, offsets and points.
_OUTPUTS: Final = ("537", "538", "539", "540")
# Pixels in a cell, and the number that both sides of a picture must be a multiple of.
_CELL: Final = 4
_MULTIPLE: Final = 32
# Boxes with a larger intersection over union belong to the same face.
_SAME_FACE: Final = 0.3


class CenterFace:
    """The loaded network. Its results depend on the picture alone, not on earlier pictures or on the threads.

    Args:
        weights: The file `centerface.onnx`.

    Raises:
        DataLoss: the file is damaged or another one (BAD_WEIGHTS).
    """

    def __init__(self, weights: Path) -> None:
        data = weights.read_bytes()
        found = hashlib.sha256(data).hexdigest()
        if found != _SHA256:
            message = (
                f"Expected {weights} to have the SHA-256 {_SHA256[:12]}…. Received {found[:12]}…, so the file is "
                f"damaged or another one. {ENGINE.remedy}"
            )
            raise DataLoss(message, reason="BAD_WEIGHTS", resource=weights.name)
        # ENGINE_CLASSIC computes nonsense once the size of the picture changes.
        self._network = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8), engine=cv2.dnn.ENGINE_NEW)

    def find(self, picture: Frame, min_score: float) -> tuple[NDArray[np.float64], Points]:
        """Find the faces in a picture, uint8 [h, w, 3] BGR; arguments and result as in `faces_in`."""
        below, right = (-side % _MULTIPLE for side in picture.shape[:2])
        padded = cv2.copyMakeBorder(stretched(picture, picture[::4, ::4]), 0, below, 0, right, cv2.BORDER_CONSTANT)
        self._network.setInput(cv2.dnn.blobFromImage(padded, swapRB=True))
        return faces_in([output[0] for output in self._network.forward(_OUTPUTS)], min_score)


def faces_in(outputs: Sequence[NDArray[np.float32]], min_score: float) -> tuple[NDArray[np.float64], Points]:
    """Read faces from the network's outputs; of those that overlap, the one with the best score.

    Args:
        outputs: For each cell of 4 x 4 pixels, float32 [n, h, w]: the score, n = 1; the logarithms of height and width
            in cells, n = 2; the offset of the centre, down and across, in cells, n = 2; the five points, down and
            across, in sizes from the upper left corner, n = 10.
        min_score: Lowest score of a face, 0 to 1.

    Returns:
        (scores, points), float64 [k] and [k, 5, 2], the best first; points in pixels of the picture.
    """
    heat, sizes, offsets, marks = outputs
    rows, columns = np.nonzero(heat[0] >= min_score)
    order = np.argsort(-heat[0, rows, columns], kind="stable")
    cells = rows[order], columns[order]
    scores = heat[0][cells].astype(np.float64)
    sides = np.exp(sizes[:, *cells].T.astype(np.float64)) * _CELL
    corners = (np.stack(cells, axis=1) + offsets[:, *cells].T + 0.5) * _CELL - sides / 2
    points = marks[:, *cells].T.reshape(-1, 5, 2) * sides[:, None] + corners[:, None]
    points = points[:, :, ::-1] - 0.5
    kept: list[int] = []
    boxes = [box_of(five) for five in points]
    for place, box in enumerate(boxes):
        if all(iou(box, boxes[better]) <= _SAME_FACE for better in kept):
            kept.append(place)
    return scores[kept], points[kept]
