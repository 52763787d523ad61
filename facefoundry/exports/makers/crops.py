"""Cuts DeepfakeBench's crops of frames and masks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry.exports.forehead import with_forehead
from facefoundry.exports.geometry import BENCH_SIZE, bench_matrix, moved
from facefoundry.exports.makers.decoding import chosen_frames, landmarks_of, write_png

__all__ = ["crops", "cut_crops", "cut_masks", "masks"]

_SIZE = (BENCH_SIZE, BENCH_SIZE)


def crops(
    folder: str, video: str, alignments: str, frames: list[list[int]], pictures_to: str, landmarks_to: str
) -> Iterator[int]:
    """Write a crop and its landmarks, int64 [81, 2] in crop pixels, for each frame, and yield its number.

    Args:
        folder: Folder to write to.
        video: Path of the video.
        alignments: Path of the alignments of its target.
        frames: Number in the video and row in the alignments of each frame.
        pictures_to: Folder of the pictures, below `folder`.
        landmarks_to: Folder of the landmarks.
    """
    root = Path(folder)
    for number, crop, points in cut_crops(video, alignments, frames):
        write_png(root / pictures_to / f"{number:03d}.png", crop)
        np.save(root / landmarks_to / f"{number:03d}.npy", points)
        yield number


def masks(folder: str, mask: str, alignments: str, frames: list[list[int]], pictures_to: list[str]) -> Iterator[int]:
    """Write the crop of the mask of each frame to each of some folders, and yield its number.

    The other arguments are those of `crops`.
    """
    for number, picture in cut_masks(mask, alignments, frames):
        for to in pictures_to:
            write_png(Path(folder) / to / f"{number:03d}.png", picture)
        yield number


def cut_crops(
    video: str, alignments: str, frames: list[list[int]]
) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.int64]]]:
    """Yield number, crop uint8 [256, 256, 3] BGR, and landmarks int64 [81, 2] in crop pixels, of each frame."""
    landmarks = landmarks_of(alignments, [row for _, row in frames])
    matrices = bench_matrix(landmarks)
    points = np.rint(with_forehead(moved(landmarks, matrices))).astype(np.int64)
    index = {place: i for i, (place, _) in enumerate(frames)}
    for number, frame in chosen_frames(video, list(index)):
        crop = cv2.warpAffine(frame, matrices[index[number]], _SIZE)
        yield number, np.asarray(crop, np.uint8), points[index[number]]


def cut_masks(mask: str, alignments: str, frames: list[list[int]]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield number and crop of the mask, uint8 [256, 256] of 0 and 255, of each frame."""
    matrices = bench_matrix(landmarks_of(alignments, [row for _, row in frames]))
    index = {place: i for i, (place, _) in enumerate(frames)}
    for number, frame in chosen_frames(mask, list(index)):
        crop = cv2.warpAffine(np.ascontiguousarray(frame[:, :, 0]), matrices[index[number]], _SIZE)
        yield number, np.where(np.asarray(crop) >= 128, 255, 0).astype(np.uint8)
