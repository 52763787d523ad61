"""Frames and clips to measure with, made of a public-domain portrait that scikit-image contains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from demo import portraits
from facefoundry.faces.crop import face_matrix

__all__ = ["HD", "Shot", "shot", "shots", "write_clip"]

HD = (1280, 720)
"""Width and height of 720p frames, pixels."""


@dataclass(frozen=True)
class Shot:
    """A frame with one face.

    Attributes:
        frame: uint8 [h, w, 3] BGR.
        landmarks: float32 [68, 2], (x, y) in frame pixels, whole numbers.
        matrix: float64 [2, 3], maps frame pixels to the mean face's unit square.
    """

    frame: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    matrix: NDArray[np.float64]


def shots(count: int, face: float = 200.0, size: tuple[int, int] = HD) -> list[Shot]:
    """Return frames of a portrait that moves, turns, grows and shrinks a little in front of a still background.

    Args:
        count: Number of frames.
        face: Mean width of the box around the 68 landmarks, pixels; it is about the width of the face.
        size: Width and height of the frames, pixels.
    """
    return [shot(number, face, size) for number in range(count)]


def shot(number: int, face: float = 200.0, size: tuple[int, int] = HD) -> Shot:
    """Return the frame of the given number, from 0; the other arguments are as in `shots`."""
    portrait = _astronaut()
    middle = portrait.landmarks[17:].mean(axis=0)
    phase = 2 * np.pi * number / 50
    scale = face / float(np.ptp(portrait.landmarks[:, 0])) * (1 + 0.03 * np.sin(0.7 * phase))
    turn = np.deg2rad(5 * np.sin(phase))
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    width, height = size
    place = np.array([width * (0.5 + 0.12 * np.sin(0.5 * phase)), height * (0.5 + 0.04 * np.cos(phase))])
    onto = np.column_stack([linear, place - linear @ middle])
    frame = _background(size).copy()
    cv2.warpAffine(portrait.canvas, onto, size, frame, cv2.INTER_CUBIC, cv2.BORDER_TRANSPARENT)
    landmarks = np.trunc(portrait.landmarks @ linear.T + onto[:, 2]).astype(np.float32)
    return Shot(frame, landmarks, face_matrix(landmarks))


def write_clip(path: Path, frames: Sequence[NDArray[np.uint8]], crf: int = 18) -> Path:
    """Encode frames, uint8 [h, w, 3] BGR, as most clips are: H.264, 4:2:0, 25 frames per second.

    Args:
        path: File of the clip.
        frames: The frames.
        crf: Constant rate factor of x264: 0 is lossless, 51 is the worst quality.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": str(crf), "preset": "veryfast"})
        stream.pix_fmt = "yuv420p"
        stream.height, stream.width = frames[0].shape[:2]
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        container.mux(stream.encode())
    return path


@lru_cache(maxsize=1)
def _astronaut() -> portraits.Portrait:
    return portraits.astronaut()


@lru_cache(maxsize=4)
def _background(size: tuple[int, int]) -> NDArray[np.uint8]:
    picture = np.ascontiguousarray(data.coffee()[..., ::-1])
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC), np.uint8)
