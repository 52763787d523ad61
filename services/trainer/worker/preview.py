"""Preview pictures, which show the progress of a training: when they are made, and how they are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np
from keras import ops
from numpy.typing import NDArray

from facefoundry.model.network import SIDES, Network, SideName
from services.trainer.worker.similarity import ssim

__all__ = ["Drawing", "Previewer", "schedule"]

_SHARES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0)
_TILE = 96
_QUALITY = 88


def schedule(iterations: int) -> list[int]:
    """Return the iterations after which a preview is made: at most 10, including the first and the last.

    Args:
        iterations: Number of iterations after which the training is done.
    """
    return sorted({1, *(max(1, round(share * iterations)) for share in _SHARES)})


class Drawing(NamedTuple):
    """A preview.

    Attributes:
        jpeg: The picture.
        similarity: SSIM of the faces of A and of B to their reconstructions, -1 to 1.
    """

    jpeg: bytes
    similarity: tuple[float, float]


class Previewer:
    """Draws previews of the same faces again and again.

    Args:
        network: The network of the training; each `draw` uses its current weights.
        faces: Faces of each side, uint8 [n, face_size, face_size, 3], BGR, n >= 1.
    """

    def __init__(self, network: Network, faces: Mapping[SideName, NDArray[np.uint8]]) -> None:
        self._network = network
        self._faces = faces
        self._columns = max(map(len, faces.values()))

    def draw(self) -> Drawing:
        """Draw the faces in six rows: A's faces, A's decoded as A, A's decoded as B; then the same for B.

        Returns:
            The picture, in which each face has 96x96 pixels, and how similar each side's faces are to their
            reconstructions. Unlike the training's, these faces are not warped.
        """
        rows, similarity = [], []
        for side, other in (SIDES, SIDES[::-1]):
            faces = self._faces[side]
            reconstructed = self._decoded(faces, side)
            similarity.append(round(ssim(reconstructed, faces.astype(np.float32) / np.float32(255)), 4))
            for pictures in (faces, reconstructed, self._decoded(faces, other)):
                rows.append(_row(pictures, self._columns))
        encoded, data = cv2.imencode(".jpg", np.concatenate(rows), (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
        if not encoded:
            raise ValueError("Expected OpenCV to encode the preview as a JPEG. OpenCV reported a failure.")
        return Drawing(bytes(data.tobytes()), (similarity[0], similarity[1]))

    def _decoded(self, faces: NDArray[np.uint8], side: SideName) -> NDArray[np.float32]:
        decoded = self._network.reconstruct(faces.astype(np.float32) / 255, side)
        return np.asarray(ops.convert_to_numpy(decoded), np.float32)


def _row(faces: NDArray[np.uint8] | NDArray[np.float32], columns: int) -> NDArray[np.uint8]:
    pixels = faces if faces.dtype == np.uint8 else np.clip(faces * 255.0 + 0.5, 0, 255).astype(np.uint8)
    row = np.zeros((_TILE, _TILE * columns, 3), np.uint8)
    for index, face in enumerate(pixels):
        row[:, index * _TILE : (index + 1) * _TILE] = cv2.resize(face, (_TILE, _TILE), interpolation=cv2.INTER_CUBIC)
    return row
