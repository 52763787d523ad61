"""Whose face it is: dlib's embedding, near for pictures of one person and far for two."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from services.extractor.engines import dlib as dlib_engine
from services.extractor.engines.base import not_installed

__all__ = ["FaceEmbedder"]

_WEIGHTS: Final = "dlib_face_recognition_resnet_model_v1.dat"


class FaceEmbedder:
    """Embeds faces; two pictures of one person are usually less than 0.6 apart (Euclidean).

    Raises:
        InvalidInput: dlib or its weights are not installed.
    """

    def __init__(self) -> None:
        path = dlib_engine.weights(_WEIGHTS)
        lacks = dlib_engine.missing()
        if lacks or path is None:
            raise not_installed("dlib", lacks or f"{_WEIGHTS} is not installed", dlib_engine.REMEDY)
        import dlib

        self._dlib = dlib
        self._model = dlib.face_recognition_model_v1(str(path))

    def embed(self, frame: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embed one face.

        Args:
            frame: uint8 [h, w, 3], BGR.
            landmarks: Points [68, 2] in frame pixels, of any engine.

        Returns:
            float32 [128].
        """
        dlib = self._dlib
        points = dlib.points([dlib.point(int(x), int(y)) for x, y in np.rint(landmarks)])
        low, high = np.rint(landmarks.min(axis=0)), np.rint(landmarks.max(axis=0))
        face = dlib.full_object_detection(dlib.rectangle(int(low[0]), int(low[1]), int(high[0]), int(high[1])), points)
        rgb = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        return np.array(self._model.compute_face_descriptor(rgb, face), dtype=np.float32)
