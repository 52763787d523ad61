"""Chunks: lossless files of consecutive converted frames, from which an interrupted conversion resumes.

A chunk is a tar. It contains two PNG files for every swapped frame: `<frame:06d>.png` with the BGR pixels, and
`<frame:06d>-blend.png` with the blend mask. Its file `chunk.json` contains the label of every frame and the region of
the frame that its pictures cover.

Each picture covers only the changed region of its frame. Inside the blend mask, `<frame:06d>.png` holds the pixels of
the fake. Outside it, where Poisson blending changes pixels only slightly, it holds (pixel - target) modulo 256, which
compresses better.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facefoundry import codec
from facefoundry.archive import ArchiveWriter
from facefoundry.errors import DataLoss
from facefoundry.formats import refuse_newer_json
from facefoundry.media import still
from services.converter.composite import Patch
from services.converter.labels import Row
from services.converter.warp import Region

__all__ = ["FORMAT", "ChunkWriter", "Entry", "Index", "read"]

FORMAT = "facefoundry.chunk/3"
# A warped face has no repetitions that Deflate could find: looking for them takes twice as long for a fifth more bytes.
_PIXELS = (
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_PAETH),
)
_BLEND = (cv2.IMWRITE_PNG_COMPRESSION, 1)
_INDEX = "chunk.json"
_MAX_INDEX_BYTES = 1 << 20


@dataclass(frozen=True)
class Entry(Row):
    """The label of one frame, and the region that its pictures cover."""

    region: Region | None = None


@dataclass(frozen=True)
class _Header:
    """The field of `chunk.json` that every format of chunks has."""

    format: str


@dataclass(frozen=True)
class Index(_Header):
    """The file `chunk.json`."""

    rows: list[Entry]


class ChunkWriter:
    """Writes one chunk, frame by frame."""

    def __init__(self, path: Path) -> None:
        self._archive = ArchiveWriter(path)
        self._rows: list[Entry] = []

    def add(self, target: NDArray[np.uint8], row: Row, patch: Patch | None) -> None:
        """Append a frame.

        Args:
            target: The target's decoded frame, uint8 [h, w, 3] BGR.
            row: Label of the frame.
            patch: The pixels that replace the target's; None if the frame is not swapped.
        """
        region = None if patch is None else patch.region
        self._rows.append(Entry(row.frame, row.swapped, row.reason, row.box, region))
        if patch is not None:
            pixels, blend = _pictures_of(row.frame)
            picture = np.where(patch.blend[..., None], patch.pixels, patch.pixels - target[patch.region.slices])
            self._archive.add(pixels, cv2.imencode(".png", picture, _PIXELS)[1].tobytes())
            self._archive.add(blend, cv2.imencode(".png", patch.blend, _BLEND)[1].tobytes())

    def close(self) -> Path:
        """Finish the chunk and return its path."""
        index = codec.to_values(Index(FORMAT, self._rows))
        self._archive.add(_INDEX, json.dumps(index, separators=(",", ":"), sort_keys=True).encode())
        return self._archive.close()


def read(
    path: Path, frames: range, targets: Iterator[NDArray[np.uint8]]
) -> Iterator[tuple[NDArray[np.uint8], Row, Patch | None]]:
    """Read a chunk's frames in order.

    Args:
        path: File of the chunk.
        frames: Numbers of the frames that the chunk must contain.
        targets: The target's frames from the first of these on, each uint8 [h, w, 3] BGR.

    Yields:
        (target frame, label, patch) of each frame: the arguments with which `ChunkWriter.add` was called.

    Raises:
        DataLoss: the file is damaged, or does not contain these frames (BAD_CHUNK).
        Unusable: a newer version of FaceFoundry wrote it (NEWER_FORMAT).
    """
    with ExitStack() as opened:
        with _refused(path):
            archive = opened.enter_context(tarfile.open(path, "r:"))
            data = _member(archive, _INDEX, _MAX_INDEX_BYTES)
            refuse_newer_json(data, FORMAT, path.name)
            received = codec.from_json(_Header, data).format
            if received != FORMAT:
                raise ValueError(f"expected the format {FORMAT}, received {received!r}")
            index = codec.from_json(Index, data)
            numbers = [entry.frame for entry in index.rows]
            if numbers != list(frames):
                raise ValueError(f"expected the frames {_listed(list(frames))}, received {_listed(numbers)}")
        for entry in index.rows:
            target = next(targets)
            with _refused(path):
                patch = _patch(archive, entry, target)
            yield target, Row(entry.frame, entry.swapped, entry.reason, entry.box), patch


def _listed(frames: list[int]) -> str:
    return f"{frames[0]} to {frames[-1]} ({len(frames)})" if frames else "none"


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    """Convert errors within the block to errors that name the file."""
    try:
        yield
    except (DataLoss, ValueError, KeyError, tarfile.TarError) as error:
        message = f"{path.name} is not the expected chunk: {error}. Delete the conversion's prefix, and convert again."
        raise DataLoss(message, reason="BAD_CHUNK") from error


def _patch(archive: tarfile.TarFile, entry: Entry, target: NDArray[np.uint8]) -> Patch | None:
    if entry.box is None:
        return None
    region = entry.region
    if region is None:
        raise ValueError(f"frame {entry.frame} is swapped but has no region")
    if region.clipped(target.shape) != region:
        raise ValueError(f"the region of frame {entry.frame} reaches beyond the frame")
    pixels, blend = (_picture(archive, name, region) for name in _pictures_of(entry.frame))
    if pixels.ndim != 3 or blend.ndim != 2:
        raise ValueError(f"the pictures of frame {entry.frame} have a wrong number of channels")
    pixels = np.where(blend[..., None], pixels, pixels + target[region.slices])
    return Patch(region, pixels, np.where(blend > 0, np.uint8(255), np.uint8(0)), entry.box)


def _pictures_of(frame: int) -> tuple[str, str]:
    return f"{frame:06d}.png", f"{frame:06d}-blend.png"


def _picture(archive: tarfile.TarFile, name: str, region: Region) -> NDArray[np.uint8]:
    """Read a picture of the region's size, uint8 [h, w, 3] or [h, w]."""
    data = _member(archive, name, 8 * region.width * region.height + (1 << 16))
    if still.size_of(data) != (region.width, region.height):
        raise ValueError(f"{name} has another size")
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.dtype != np.uint8 or picture.shape[2:] not in ((), (3,)):
        raise ValueError(f"{name} cannot be decoded")
    return np.asarray(picture, np.uint8)


def _member(archive: tarfile.TarFile, name: str, max_bytes: int) -> bytes:
    member = archive.getmember(name)
    file = archive.extractfile(member) if member.isfile() and member.size <= max_bytes else None
    if file is None:
        raise ValueError(f"expected a file {name} of at most {max_bytes} bytes")
    return file.read()
