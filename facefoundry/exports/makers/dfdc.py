"""Cuts the faces that selimsef's training reads, with a margin of a third of the box."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facefoundry.exports.makers.decoding import chosen_frames, write_png

__all__ = ["crops", "diffs"]


def crops(folder: str, video: str, places: list[int], boxes: list[list[int]], pictures_to: str) -> Iterator[int]:
    """Write the face of some frames, and yield the number of each.

    Args:
        folder: Folder to write to.
        video: Path of the video.
        places: Numbers of the frames.
        boxes: The box of each as x, y, width and height, pixels.
        pictures_to: Folder of the pictures, below `folder`.
    """
    box_of = dict(zip(places, boxes, strict=True))
    for number, frame in chosen_frames(video, places):
        write_png(Path(folder) / pictures_to / f"{number}_0.png", _with_margin(frame, box_of[number]))
        yield number


def diffs(folder: str, mask: str, places: list[int], boxes: list[list[int]], pictures_to: str) -> Iterator[int]:
    """Write which pixels of each face are changed, 0 and 255, and yield its number; arguments as in `crops`."""
    box_of = dict(zip(places, boxes, strict=True))
    for number, frame in chosen_frames(mask, places):
        changed = np.where(_with_margin(frame, box_of[number])[:, :, 0] >= 128, 255, 0).astype(np.uint8)
        write_png(Path(folder) / pictures_to / f"{number}_0_diff.png", changed)
        yield number


def _with_margin(frame: NDArray[np.uint8], box: list[int]) -> NDArray[np.uint8]:
    x, y, width, height = box
    left, top = max(x - width // 3, 0), max(y - height // 3, 0)
    return frame[top : y + height + height // 3, left : x + width + width // 3]
