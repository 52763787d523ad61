"""Looks at the faces of a real video: hashes that near-identical clips share, and skin tone. It runs in a sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry import codec
from facefoundry.checks.balance import Look
from facefoundry.checks.frames import decode
from facefoundry.checks.measured import LabelFile
from facefoundry.checks.outside import Box
from facefoundry.checks.stream import read_stream
from facefoundry.codec import JsonObject

__all__ = ["face_hash", "look", "skin_tone"]

_SAMPLES = 8
_GROWN = 0.25
_SIDE = 16


def look(video: str, labels: str) -> Iterator[JsonObject]:
    """Yield what the faces of a real video look like, one `Look`.

    Args:
        video: Path of the real video.
        labels: Path of the labels of a fake of it, whose boxes are around its face.

    Raises:
        Unusable: the video cannot be read.
        DataLoss: the labels are damaged.
    """
    path = Path(video)
    stream = read_stream(path)
    count = len(stream.times)
    boxes = {row.frame: row.box for row in codec.from_json(LabelFile, Path(labels).read_bytes()).frames if row.box}
    shown = sorted(frame for frame in boxes if frame < count)
    wanted = sorted({shown[round(place)] for place in np.linspace(0, len(shown) - 1, _SAMPLES)}) if shown else []
    hashes, mirrored, tones = list[str](), list[str](), list[float]()
    for number, frame in decode(path, stream, wanted):
        face = _cut(frame, boxes[number])
        hashes.append(face_hash(face))
        mirrored.append(face_hash(face[:, ::-1]))
        tones.append(skin_tone(face))
    width, height = int(stream.facts["length"]["width"]), int(stream.facts["length"]["height"])
    yield codec.to_values(
        Look(
            frames=count,
            seconds=count / stream.numbers["length"]["frame rate"],
            width=width,
            height=height,
            face=float(np.median([boxes[frame][3] for frame in shown])) / height if shown else None,
            tone=float(np.median(tones)) if tones else None,
            hashes=hashes,
            mirrored=mirrored,
        )
    )


def face_hash(face: NDArray[np.uint8]) -> str:
    """Return 256 bits as 64 hex digits: whether each of 16x16 places is darker than the next one to the right.

    Args:
        face: uint8 [h, w, 3] BGR.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(face), cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (_SIDE + 1, _SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    return np.packbits(small[:, :-1] < small[:, 1:]).tobytes().hex()


def skin_tone(face: NDArray[np.uint8]) -> float:
    """Return the individual typology angle (ITA) of the cheeks, degrees: above 55 very light, below -30 dark.

    Args:
        face: Face with the margin of a hash, uint8 [h, w, 3] BGR.
    """
    height, width = face.shape[:2]
    rows = slice(int(0.5 * height), max(int(0.65 * height), int(0.5 * height) + 1))
    sides = ((0.28, 0.4), (0.6, 0.72))
    cheeks = [face[rows, int(a * width) : max(int(b * width), int(a * width) + 1)].reshape(-1, 3) for a, b in sides]
    pixels = np.concatenate(cheeks).astype(np.float32)[None] / 255
    lightness, _, yellow = np.median(cv2.cvtColor(pixels, cv2.COLOR_BGR2LAB)[0], axis=0)
    return float(np.degrees(np.arctan2(lightness - 50, max(float(yellow), 1e-3))))


def _cut(frame: NDArray[np.uint8], box: Box | None) -> NDArray[np.uint8]:
    x, y, width, height = box or (0, 0, frame.shape[1], frame.shape[0])
    across, down = round(_GROWN * width), round(_GROWN * height)
    return frame[max(0, y - down) : y + height + down, max(0, x - across) : x + width + across]
