"""A few small pictures of an extracted sequence, for people to look at."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry import archive

__all__ = ["Samples"]

_COUNT: Final = 6
_WIDTH: Final = 480


class Samples:
    """Chooses up to 6 frames that are evenly spread over those with a face, without knowing their number beforehand."""

    def __init__(self) -> None:
        self._kept: dict[int, NDArray[np.uint8]] = {}
        self._seen = 0
        self._every = 1

    def offer(self, index: int, frame: NDArray[np.uint8]) -> None:
        """Keep the frame if it is the next n-th frame with a face; of too many, drop every second and double n.

        Args:
            index: Number of the frame.
            frame: uint8 [h, w, 3], BGR, with a face.
        """
        if self._seen % self._every == 0:
            self._kept[index] = _reduced(frame)
            if len(self._kept) > 2 * _COUNT:
                self._kept = dict(list(self._kept.items())[::2])
                self._every *= 2
        self._seen += 1

    def archive(self) -> bytes:
        """Return the bytes of a tar with the samples, each as `<frame:06d>.jpg`."""
        frames = list(self._kept)
        chosen = np.linspace(0, len(frames) - 1, min(_COUNT, len(frames))).round().astype(int)
        return archive.pack({f"{frames[place]:06d}.jpg": _jpeg(self._kept[frames[place]]) for place in chosen})


def _reduced(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = frame.shape[:2]
    if width > _WIDTH:
        size = (_WIDTH, max(1, round(height * _WIDTH / width)))
        frame = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return frame


def _jpeg(frame: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".jpg", frame, (cv2.IMWRITE_JPEG_QUALITY, 90))[1].tobytes())
