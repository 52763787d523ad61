"""Makes the contact sheet of a clip: the pictures of its faces in one PNG, the most different ones first."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["PICTURE", "contact_sheet", "png"]

PICTURE: Final = 64
"""Side of the picture of a face, pixels."""

_COLUMNS = 16
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def contact_sheet(pictures: Sequence[bytes], oddness: Sequence[float]) -> bytes:
    """Return a PNG of pictures in rows of 16, by falling oddness.

    Args:
        pictures: 64x64 pixels each, red, green and blue; empty for a frame without a face, which is left out.
        oddness: How much each face differs from the others.
    """
    order = sorted((index for index, data in enumerate(pictures) if data), key=lambda index: -oddness[index])
    tiles = [np.frombuffer(pictures[index], np.uint8).reshape(PICTURE, PICTURE, 3) for index in order]
    columns = min(_COLUMNS, max(1, len(tiles)))
    rows = max(1, -(-len(tiles) // columns))
    sheet = np.zeros((rows * PICTURE, columns * PICTURE, 3), np.uint8)
    for place, tile in enumerate(tiles):
        top, left = (PICTURE * at for at in divmod(place, columns))
        sheet[top : top + PICTURE, left : left + PICTURE] = tile
    return png(sheet)


def png(picture: NDArray[np.uint8]) -> bytes:
    """Encode a picture, uint8 [h, w, 3], red, green and blue, as a PNG."""
    height, width, _ = picture.shape
    # Each row is stored as its difference to the row above (filter 2), which compresses well.
    above = np.concatenate([np.zeros((1, width, 3), np.uint8), picture[:-1]])
    rows = np.concatenate([np.full((height, 1), 2, np.uint8), (picture - above).reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
