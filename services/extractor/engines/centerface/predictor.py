"""dlib's predictor of 68 landmarks, on a picture of fixed size with the face turned upright."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from services.extractor.boxes import Box
from services.extractor.engines.centerface.upright import Frame, cut
from services.extractor.engines.dlib import predictor
from services.extractor.engines.levels import stretched

__all__ = ["Predictor"]

# Side of a face in the predictor's picture, pixels. dlib rounds landmarks to whole pixels of this picture.
_FACE: Final = 300
# Sigma of the blur that keeps noise from moving the landmarks, pixels of this picture.
_SIGMA: Final = 2.0


class Predictor:
    """Predicts landmarks of faces with any turn.

    Args:
        weights: The weights of dlib's 68-point predictor.

    Attributes:
        build: Versions of dlib and of the package with the weights.

    Raises:
        DataLoss: dlib cannot read the weights (BAD_WEIGHTS).
    """

    def __init__(self, weights: Path) -> None:
        import dlib

        self._predict = predictor.load(weights)
        self._rectangle = dlib.rectangle(_FACE // 2, _FACE // 2, _FACE * 3 // 2 - 1, _FACE * 3 // 2 - 1)
        self.build = predictor.build()

    def points(self, gray: Frame, box: Box, turn: float) -> NDArray[np.float32]:
        """Predict the landmarks of a face.

        Args:
            gray: The frame, uint8 [h, w].
            box: The face's box, float64 [4], with the proportions of dlib's boxes.
            turn: Degrees by which the face is turned.

        Returns:
            Points float32 [68, 2], (x, y) in frame pixels: whole numbers, because recipes truncate landmarks as FF++
            does, which would move those with fractions up and left by half a pixel.
        """
        picture, back = cut(gray, box, turn, 2 * _FACE)
        smooth = np.asarray(cv2.GaussianBlur(picture, (0, 0), _SIGMA), dtype=np.uint8)
        middle = slice(_FACE // 2, _FACE * 3 // 2, 4)
        shape = self._predict(stretched(smooth, smooth[middle, middle]), self._rectangle)
        found = np.array([[(point.x, point.y) for point in shape.parts()]], dtype=np.float64)
        return np.asarray(np.rint(cv2.transform(found, back)[0]), dtype=np.float32)
