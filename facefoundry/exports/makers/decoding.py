"""Decodes the chosen frames of a video of a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry.checks.frames import decode
from facefoundry.checks.stream import read_stream
from facefoundry.errors import Unusable
from facefoundry.faces.alignments import Alignments

__all__ = ["chosen_frames", "landmarks_of", "png", "write_png"]


def chosen_frames(video: str, places: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield number and frame, uint8 [h, w, 3] BGR, of some frames of a video, in order.

    Raises:
        Unusable: it cannot be decoded, or has fewer frames (FRAMES).
    """
    path, wanted = Path(video), sorted(places)
    done = 0
    for number, frame in decode(path, read_stream(path), wanted):
        done += 1
        yield number, frame
    if done < len(wanted):
        message = (
            f"Expected at least {wanted[-1] + 1} frames in {path}. {len(wanted) - done} of the labelled frames are "
        )
        raise Unusable(f"{message}missing: the labels are those of another video.", reason="FRAMES", resource=str(path))


def landmarks_of(alignments: str, rows: Sequence[int]) -> NDArray[np.float32]:
    """Return the landmarks of some rows of an alignments file, float32 [n, 68, 2] in frame pixels."""
    return Alignments.from_bytes(Path(alignments).read_bytes()).landmarks[list(rows)]


def write_png(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write a picture, uint8 [h, w, 3] BGR or [h, w] grey.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(picture))


def png(picture: NDArray[np.uint8]) -> bytes:
    """Encode a picture, uint8 [h, w, 3] BGR or [h, w] grey."""
    done, data = cv2.imencode(".png", picture)
    if not done:
        raise ValueError(f"OpenCV cannot encode a picture of the shape {picture.shape}.")
    return data.tobytes()
