"""Writes whole frames, and landmarks as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from facefoundry.exports.forehead import with_forehead
from facefoundry.exports.geometry import bounds
from facefoundry.exports.makers.decoding import chosen_frames, landmarks_of, write_png
from facefoundry.faces.alignments import Alignments

__all__ = ["landmark_track", "landmarks", "pictures", "self_blended"]


def pictures(folder: str, video: str, frames: list[list[int]], pictures_to: str, name: str) -> Iterator[int]:
    """Write whole frames, and yield the number of each.

    Args:
        folder: Folder to write to.
        video: Path of the video.
        frames: Number in the video and row in the alignments of each frame.
        pictures_to: Folder of the pictures, below `folder`.
        name: Name of a picture with a field for its number, such as `{:03d}.png`.
    """
    for number, frame in chosen_frames(video, [place for place, _ in frames]):
        write_png(Path(folder) / pictures_to / name.format(number), frame)
        yield number


def landmarks(folder: str, alignments: str, frames: list[list[int]], landmarks_to: str, name: str) -> Iterator[int]:
    """Write the landmarks of frames, float32 [68, 2] in frame pixels each; arguments as in `pictures`."""
    points = landmarks_of(alignments, [row for _, row in frames])
    for (number, _), shown in zip(frames, points, strict=True):
        np.save(Path(folder) / landmarks_to / name.format(number), shown)
    yield len(frames)


def self_blended(
    folder: str, alignments: str, frames: list[list[int]], landmarks_to: str, boxes_to: str, name: str
) -> Iterator[int]:
    """Write landmarks, int32 [1, 81, 2], and boxes, float64 [1, 2, 2], as SelfBlendedImages reads them.

    It fills their convex hull by OpenCV, which takes int32 alone, and otherwise tries other pictures for ever.

    The box is that around the landmarks of the face, brows to chin, because that is what its own detector's box shows.
    """
    points = landmarks_of(alignments, [row for _, row in frames]).astype(np.float64)
    with_more, boxes = np.rint(with_forehead(points)).astype(np.int32), bounds(points)
    for index, (number, _) in enumerate(frames):
        np.save(Path(folder) / landmarks_to / name.format(number), with_more[index][None])
        np.save(Path(folder) / boxes_to / name.format(number), boxes[index][None])
    yield len(frames)


def landmark_track(folder: str, alignments: str, rows: list[int], path: str) -> Iterator[int]:
    """Write the landmarks of all frames of a video as one array, float32 [t, 68, 2]; `rows` are their rows.

    In a frame without a face they lie on a line between those of the frames around it.
    """
    found = Alignments.from_bytes(Path(alignments).read_bytes()).take(rows)
    known = np.flatnonzero(found.found)
    flat = found.landmarks.reshape(len(found), -1)
    columns = [np.interp(np.arange(len(found)), known, flat[known, column]) for column in range(flat.shape[1])]
    np.save(Path(folder) / path, np.stack(columns, axis=1).reshape(-1, 68, 2).astype(np.float32))
    yield len(found)
