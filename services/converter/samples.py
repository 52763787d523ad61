"""Small pictures of a few frames of a manipulated sequence, for people."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry.archive import ArchiveWriter

__all__ = ["Samples", "evenly"]

_WIDTH = 480
_QUALITY = 88


def evenly(numbers: list[int], count: int = 6) -> list[int]:
    """Choose `count` of the numbers, evenly spaced; all of them when there are fewer."""
    if len(numbers) <= count:
        return list(numbers)
    return [numbers[(2 * index + 1) * len(numbers) // (2 * count)] for index in range(count)]


class Samples:
    """Writes `samples.tar`: `<frame:06d>/<picture>.jpg`, at most 480 pixels wide."""

    def __init__(self, path: Path, wanted: list[int]) -> None:
        """Open the tar.

        Args:
            path: File to write.
            wanted: Frames to show, in order. A frame that is not swapped is replaced by the next swapped frame.
        """
        self._archive = ArchiveWriter(path)
        self._wanted = list(wanted)
        self.frames: list[int] = []

    def wants(self, frame: int) -> bool:
        """Whether to add a swapped frame."""
        return bool(self._wanted) and frame >= self._wanted[0]

    def add(self, frame: int, pictures: dict[str, NDArray[np.uint8]]) -> None:
        """Append a frame's pictures, each uint8 BGR [h, w, 3] or a mask [h, w]."""
        del self._wanted[0]
        self.frames.append(frame)
        for name, picture in pictures.items():
            height, width = picture.shape[:2]
            if width > _WIDTH:
                size = (_WIDTH, max(1, round(height * _WIDTH / width)))
                picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
            data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
            self._archive.add(f"{frame:06d}/{name}.jpg", data)

    def close(self) -> Path:
        """Finish the tar and return its path."""
        return self._archive.close()
