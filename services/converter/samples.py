"""Small pictures of a few frames of a fake, for people to look at."""

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
    """Return `count` evenly spaced items of a list of numbers; the whole list if it has at most `count`."""
    if len(numbers) <= count:
        return list(numbers)
    return [numbers[(2 * index + 1) * len(numbers) // (2 * count)] for index in range(count)]


class Samples:
    """Writes `samples.tar`: `<frame:06d>/<picture>.jpg`, at most 480 pixels wide."""

    def __init__(self, path: Path, wanted: list[int]) -> None:
        """Open the tar.

        Args:
            path: File of the tar.
            wanted: Numbers of the frames to add, in order. Instead of a frame that is not swapped, the next swapped
                frame is added.
        """
        self._archive = ArchiveWriter(path)
        self._wanted = list(wanted)
        self.frames: list[int] = []

    def wants(self, frame: int) -> bool:
        """Return whether the pictures of a swapped frame should be added, given the frame's number."""
        return bool(self._wanted) and frame >= self._wanted[0]

    def add(self, frame: int, pictures: dict[str, NDArray[np.uint8]]) -> None:
        """Append a frame's pictures by name, each uint8 [h, w, 3] BGR or a mask, uint8 [h, w]."""
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
