"""Chunks: what conversion made of some consecutive frames, lossless, so that a cut conversion goes on behind them.

A chunk is a tar of two PNG files for every swapped frame, `<frame:06d>.png` of BGR and `<frame:06d>-blend.png` of the
blend mask, and of `chunk.json`, which holds the label rows and where the pictures belong. Outside the blend mask, where
Poisson's equation moves pixels by little, the picture holds by how much they differ from the target's, modulo 256.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry.archive import ArchiveWriter
from facefoundry.errors import DataLoss
from facefoundry.media import still
from services.converter.composite import Patch
from services.converter.labels import Row
from services.converter.warp import Region

__all__ = ["FORMAT", "ChunkWriter", "read"]

FORMAT = "facefoundry.chunk/3"
# A warped face has no repetitions that Deflate could find: looking for them takes twice as long for a fifth more bytes.
_PIXELS = (
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_PAETH),
)
_BLEND = (cv2.IMWRITE_PNG_COMPRESSION, 1)
_INDEX = "chunk.json"
_INDEX_BYTES = 1 << 20


class ChunkWriter:
    """Writes one chunk, frame by frame."""

    def __init__(self, path: Path) -> None:
        self._archive = ArchiveWriter(path)
        self._rows: list[dict[str, Any]] = []

    def add(self, target: NDArray[np.uint8], row: Row, patch: Patch | None) -> None:
        """Append a frame.

        Args:
            target: uint8 [h, w, 3] BGR, as decoded.
            row: Its label.
            patch: What it has in place of the target's pixels; None when it is untouched.
        """
        region = None if patch is None else list(patch.region)
        self._rows.append({**row.to_record(), "region": region})
        if patch is not None:
            pixels, blend = _pictures_of(row.frame)
            picture = np.where(patch.blend[..., None], patch.pixels, patch.pixels - target[patch.region.slices])
            self._archive.add(pixels, cv2.imencode(".png", picture, _PIXELS)[1].tobytes())
            self._archive.add(blend, cv2.imencode(".png", patch.blend, _BLEND)[1].tobytes())

    def close(self) -> Path:
        """Finish the chunk and return its path."""
        record = {"format": FORMAT, "rows": self._rows}
        self._archive.add(_INDEX, json.dumps(record, separators=(",", ":"), sort_keys=True).encode())
        return self._archive.close()


def read(
    path: Path, frames: range, targets: Iterator[NDArray[np.uint8]]
) -> Iterator[tuple[NDArray[np.uint8], Row, Patch | None]]:
    """Read a chunk's frames in order.

    Args:
        path: The tar.
        frames: Numbers of the frames that it must hold.
        targets: The target's frames from the first of these on, at least as many, each uint8 [h, w, 3] BGR.

    Yields:
        What `ChunkWriter.add` took.

    Raises:
        DataLoss: it holds something else (BAD_CHUNK).
    """
    with ExitStack() as opened:
        with _refused(path):
            archive = opened.enter_context(tarfile.open(path, "r:"))
            record = json.loads(_member(archive, _INDEX, _INDEX_BYTES))
            if record["format"] != FORMAT or [entry["frame"] for entry in record["rows"]] != list(frames):
                raise ValueError(f"expected frames {frames.start} to {frames.stop - 1}")
        for entry in record["rows"]:
            target = next(targets)
            with _refused(path):
                row = Row.from_record(entry)
                patch = _patch(archive, row, entry["region"], target)
            yield target, row, patch


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    """Blame the file for what goes wrong within."""
    try:
        yield
    except (ValueError, KeyError, TypeError, tarfile.TarError) as error:
        raise DataLoss(f"{path.name} is not the chunk it should be: {error}", reason="BAD_CHUNK") from error


def _patch(archive: tarfile.TarFile, row: Row, corners: list[int] | None, target: NDArray[np.uint8]) -> Patch | None:
    if row.box is None:
        return None
    if corners is None:
        raise ValueError(f"frame {row.frame} is swapped but has no region")
    region = Region(*(int(corner) for corner in corners))
    if region.clipped(target.shape) != region:
        raise ValueError(f"the region of frame {row.frame} leaves the frame")
    pixels, blend = (_picture(archive, name, region) for name in _pictures_of(row.frame))
    if pixels.ndim != 3 or blend.ndim != 2:
        raise ValueError(f"the pictures of frame {row.frame} have other channels")
    pixels = np.where(blend[..., None], pixels, pixels + target[region.slices])
    return Patch(region, pixels, np.where(blend > 0, np.uint8(255), np.uint8(0)), row.box)


def _pictures_of(frame: int) -> tuple[str, str]:
    return f"{frame:06d}.png", f"{frame:06d}-blend.png"


def _picture(archive: tarfile.TarFile, name: str, region: Region) -> NDArray[np.uint8]:
    """uint8 [h, w, 3] or [h, w] of the region's size."""
    data = _member(archive, name, 8 * region.width * region.height + (1 << 16))
    if still.size_of(data) != (region.width, region.height):
        raise ValueError(f"{name} has another size")
    picture: NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.dtype != np.uint8 or picture.shape[2:] not in ((), (3,)):
        raise ValueError(f"{name} cannot be decoded")
    return np.asarray(picture, np.uint8)


def _member(archive: tarfile.TarFile, name: str, most: int) -> bytes:
    member = archive.getmember(name)
    file = archive.extractfile(member) if member.isfile() and member.size <= most else None
    if file is None:
        raise ValueError(f"{name} is no file of at most {most} bytes")
    return file.read()
