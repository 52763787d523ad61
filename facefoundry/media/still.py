"""Decodes single pictures, and tells which are damaged. The size in the header is checked before pixels are decoded."""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry.errors import Unusable

__all__ = ["decode", "size_of"]

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_BMP = b"BM"
_JPEG_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# What libjpeg says about damaged data, once for each picture; its other messages concern no pixels.
_JPEG_DAMAGE = ("Corrupt JPEG data", "Premature end of JPEG", "Inconsistent progression sequence")
_STDERR = 2
_stderr_lock = threading.Lock()


def size_of(data: bytes) -> tuple[int, int] | None:
    """Read width and height, in pixels, from the header of a PNG, JPEG or BMP file; None for other data."""
    if data.startswith(_PNG) and len(data) >= 24:
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if data.startswith(_BMP) and len(data) >= 26:
        height = int.from_bytes(data[22:26], "little", signed=True)
        return int.from_bytes(data[18:22], "little", signed=True), abs(height)
    if data.startswith(_JPEG):
        return _jpeg_size(data)
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(data):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker in _JPEG_FRAME_MARKERS:
            height = int.from_bytes(data[position + 5 : position + 7], "big")
            return int.from_bytes(data[position + 7 : position + 9], "big"), height
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return None


def decode(data: bytes, name: str, max_pixels: int) -> tuple[NDArray[np.uint8], str]:
    """Decode a picture.

    Args:
        data: Content of a PNG, JPEG or BMP file.
        name: Name of the picture in messages.
        max_pixels: Largest accepted width times height.

    Returns:
        The picture, uint8 [h, w, 3] BGR, and what is damaged in it; empty if nothing is. The orientation in the
        metadata is applied, transparency is dropped.

    Raises:
        Unusable: the data is not such a picture (NOT_AN_IMAGE), or the picture is too large (TOO_LARGE).
    """
    size = size_of(data)
    if size is None or min(size) < 1:
        raise Unusable(
            f"Expected a PNG, JPEG or BMP picture as the frame {name}. Received something else. Convert the frame.",
            reason="NOT_AN_IMAGE",
            resource=name,
        )
    if size[0] * size[1] > max_pixels:
        message = (
            f"Frame {name} is {size[0]}x{size[1]}; at most {max_pixels} pixels are accepted. Scale the frames down."
        )
        raise Unusable(message, reason="TOO_LARGE", resource=name)
    try:
        if data.startswith(_JPEG):
            with _jpeg_damage() as found:
                image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        else:
            found = _png_damage(data) if data.startswith(_PNG) else []
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise Unusable(
            f"Frame {name} is damaged and cannot be decoded. Replace it.", reason="NOT_AN_IMAGE", resource=name
        ) from error
    if image is None:
        raise Unusable(
            f"Frame {name} is damaged and cannot be decoded. Replace it.", reason="NOT_AN_IMAGE", resource=name
        )
    return np.ascontiguousarray(image, np.uint8), "; ".join(found)


@contextmanager
def _jpeg_damage() -> Iterator[list[str]]:
    """Collect what libjpeg says about damaged data. It says so on the standard error alone; other text stays there."""
    found: list[str] = []
    with _stderr_lock:
        stderr, collected = os.dup(_STDERR), os.memfd_create("libjpeg")
        os.dup2(collected, _STDERR)
        try:
            yield found
        finally:
            os.dup2(stderr, _STDERR)
            text = os.pread(collected, os.fstat(collected).st_size, 0)
            for line in text.splitlines(keepends=True):
                words = line.decode(errors="replace").strip()
                if words.startswith(_JPEG_DAMAGE):
                    found.append(words)
                else:
                    os.write(stderr, line)
            os.close(collected)
            os.close(stderr)


def _png_damage(data: bytes) -> list[str]:
    """Return the first chunk of a PNG file whose checksum is wrong, or that its end is missing."""
    position = len(_PNG)
    while position + 12 <= len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        if end > len(data) or zlib.crc32(data[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            return [f"the checksum of its chunk {kind.decode('ascii', 'replace')} is wrong"]
        if kind == b"IEND":
            return []
        position = end
    return ["its end is missing"]
