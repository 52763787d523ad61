"""Packs face crops as PNG files into an uncompressed tar, and reads them again. Equal crops give equal bytes."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry import archive
from facefoundry.errors import DataLoss

__all__ = ["pack", "unpack"]

_MAX_SIZE = 1024  # of a crop, as the recipe's `crop_size`
_MAX_PIXELS = 500 * _MAX_SIZE**2  # of all crops of a tar: those of a part's frames
_FACE_NAME = re.compile(r"([0-9]{6,9})\.png")
# Filter and strategy are fixed, so equal pixels give equal bytes. A face has few repetitions that Deflate could find:
# searching for runs alone takes no longer than level 1 and gives a tenth fewer bytes.
_PNG = (
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_PAETH),
)

_PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_PNG_FORM = bytes([8, 2, 0, 0, 0])  # 8 bits, RGB, deflated, not interlaced


def pack(faces: Mapping[int, NDArray[np.uint8]]) -> bytes:
    """Pack crops into a tar of files `<frame>.png`, where the frame has six digits, ordered by frame number.

    Args:
        faces: Crops uint8 [size, size, 3], BGR, by frame number.

    Returns:
        The bytes of the tar; equal crops give equal bytes with the same version of OpenCV.
    """
    files = {}
    for frame in sorted(faces):
        encoded, data = cv2.imencode(".png", faces[frame], _PNG)
        if not encoded:
            raise ValueError(f"Expected a crop uint8 [size, size, 3]. Received shape {faces[frame].shape}.")
        files[f"{frame:06d}.png"] = data.tobytes()
    return archive.pack(files)


def unpack(data: bytes) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Read a tar of crops.

    Returns:
        (frame numbers, crops): int64 [k], ascending, and uint8 [k, size, size, 3] BGR. For a tar without faces the
        shapes are [0] and [0, 0, 0, 3].

    No picture is decoded whose header is not that of a crop of at most 1024x1024 pixels.

    Raises:
        DataLoss: the bytes are not a tar of face crops of equal size (BAD_ARCHIVE, BAD_FACES), or its crops are more
            than those of 500 frames (BAD_FACES).
    """
    frames: list[int] = []
    crops: list[NDArray[np.uint8]] = []
    pixels = 0
    for name, content in archive.unpack(data).items():
        number, size = _FACE_NAME.fullmatch(name), _crop_size(content)
        pixels += size * size
        decodes = number and 0 < size <= _MAX_SIZE and pixels <= _MAX_PIXELS
        crop = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if decodes else None
        if number is None or crop is None or (crops and crop.shape != crops[0].shape):
            raise DataLoss(
                f"Expected files <frame>.png of equal size in a tar of faces. Received {name!r}.", reason="BAD_FACES"
            )
        frames.append(int(number[1]))
        crops.append(np.asarray(crop, dtype=np.uint8))
    if sorted(set(frames)) != frames:
        raise DataLoss(
            "Expected ascending frame numbers in a tar of faces. Received them in another order or twice.",
            reason="BAD_FACES",
        )
    if not crops:
        return np.zeros(0, np.int64), np.zeros((0, 0, 0, 3), np.uint8)
    return np.array(frames, np.int64), np.stack(crops)


def _crop_size(png: bytes) -> int:
    """Return width and height of a crop from the first chunk of its file; 0 if `pack` makes no such file."""
    try:
        start, width, height, form = struct.unpack_from(">16sII5s", png)
    except struct.error:
        return 0
    is_crop = start == _PNG_START and width == height and form == _PNG_FORM
    return int(width) if is_crop else 0
