"""Face embeddings: vectors that are close for pictures of one person and far apart for two."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.extractor.engines.dlib import EMBEDDER, ENGINE

__all__ = ["FaceEmbedder"]

# The pictures that dlib's network was trained with: their side in pixels, and their margin, in sides of the face.
_SIDE: Final = 150
_PADDING: Final = 0.25


class FaceEmbedder:
    """Embeds faces with dlib's network.

    The embeddings of two pictures of one person usually have a Euclidean distance below 0.6.

    Raises:
        InvalidInput: dlib or the weights are not installed.
    """

    def __init__(self) -> None:
        path = EMBEDDER.find()
        if missing := ENGINE.missing_package():
            raise ENGINE.not_installed(missing)
        if path is None:
            raise ENGINE.not_installed(f"the weight file {EMBEDDER.name} of the face embeddings is not installed")
        import dlib

        self._dlib = dlib
        self._model = dlib.face_recognition_model_v1(str(path))

    @staticmethod
    def installed() -> bool:
        """Return whether dlib and the weights are installed."""
        return EMBEDDER.find() is not None and not ENGINE.missing_package()

    def embed(self, frame: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the embedding, float32 [128], of the face in a frame; arguments as in `chip`."""
        return self.embed_chip(self.chip(frame, landmarks))

    def chip(self, frame: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return what the network sees of one face, uint8 [150, 150, 3] BGR: it takes a hundredth of the time.

        Args:
            frame: uint8 [h, w, 3], BGR.
            landmarks: float32 [68, 2], (x, y) in frame pixels; they may come from any engine.
        """
        dlib = self._dlib
        points = dlib.points([dlib.point(int(x), int(y)) for x, y in np.rint(landmarks)])
        low, high = np.rint(landmarks.min(axis=0)), np.rint(landmarks.max(axis=0))
        face = dlib.full_object_detection(dlib.rectangle(int(low[0]), int(low[1]), int(high[0]), int(high[1])), points)
        whole = np.ascontiguousarray(frame)  # dlib takes no view of a larger or mirrored picture
        return np.asarray(dlib.get_face_chip(whole, face, size=_SIDE, padding=_PADDING), dtype=np.uint8)

    def embed_chip(self, chip: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the embedding, float32 [128], of a face's `chip`, uint8 [150, 150, 3] BGR."""
        return np.array(self._model.compute_face_descriptor(np.ascontiguousarray(chip[:, :, ::-1])), dtype=np.float32)
