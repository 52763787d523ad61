"""Uploads clips: a video file as it is, a folder of frames as a tar. The extractor makes a source of what arrives."""

from __future__ import annotations

import stat
from fractions import Fraction
from pathlib import Path

from facefoundry.client import Client, OnProgress
from facefoundry.dataset.contents import Content, FileContent, FrameTar
from facefoundry.dataset.plan import Clip
from facefoundry.dataset.reading import Reading
from facefoundry.dataset.rights import UNSTATED, Rights
from facefoundry.dataset.transfer import Transfers
from facefoundry.errors import InvalidInput, Unusable
from facefoundry.media.frames import in_order
from facefoundry.media.source import DEFAULT_FRAME_RATE
from facefoundry.v1 import extractor_pb2

__all__ = ["import_clip", "import_source", "set_rate", "upload"]

_TAR = ".tar"


def upload(
    path: str | Path,
    frame_rate: Fraction | int | None = None,
    *,
    tolerate_damage: bool = False,
    client: Client | None = None,
    rights: Rights | None = None,
    on_progress: OnProgress = lambda _: None,
) -> str:
    """Upload a clip and return its URI. A clip that is stored already is not uploaded again.

    Args:
        path: The video file, the folder of numbered frames, or a tar of them, which ends with `.tar`.
        frame_rate: Frames per second; None for the rate that a video shows, or for 25 of frames.
        tolerate_damage: Whether damaged frames are read as far as possible and labelled, and not refused.
        client: The client of the services; by default one with the addresses of the environment.
        rights: The record of the rights to the clip, whose digest is kept with the clip; None if they are unstated.
        on_progress: Called with each progress message: of the stages `hash` and `upload`, and then of the extractor's.

    Raises:
        InvalidInput: the clip cannot be read (INPUT_FILE).
        Unusable: the clip is not a regular file, is empty, too large or changes during the upload, or its frames are
            not numbered without gaps (NOT_A_FILE, NOT_A_VIDEO, TOO_LARGE, INPUT_CHANGES, NO_FRAMES, FRAME_NAME,
            FRAME_TWICE, FRAME_GAP); or the extractor cannot use it.
        Denied: the store refused URLs that the extractor had just signed (URL_REFUSED).
        Unavailable: the extractor or the store does not answer.
    """
    path = Path(path)
    if frame_rate is None and (path.is_dir() or path.suffix.lower() == _TAR):
        frame_rate = Fraction(*DEFAULT_FRAME_RATE)
    stated = UNSTATED if rights is None else rights.digest
    request = extractor_pb2.ImportSourceRequest(rights=stated, tolerate_damage=tolerate_damage)
    if frame_rate is not None:
        set_rate(request, Fraction(frame_rate))
    if client is not None:
        return import_clip(Transfers(client), path, request, on_progress).uri
    with Client() as own:
        return import_clip(Transfers(own), path, request, on_progress).uri


def set_rate(request: extractor_pb2.ImportSourceRequest, rate: Fraction) -> None:
    """Write a frame rate into a request."""
    request.frame_rate.numerator, request.frame_rate.denominator = rate.numerator, rate.denominator


def import_source(
    transfers: Transfers, clip: Clip, reading: Reading, on_progress: OnProgress = lambda _: None
) -> extractor_pb2.Source:
    """Make a source of a clip: upload it, or let the extractor take it from its bucket. Errors are as in `upload`."""
    request = extractor_pb2.ImportSourceRequest(
        object_uri=clip.object_uri, rights=clip.rights, tolerate_damage=reading.tolerate_damage
    )
    rate = reading.rate_of(clip.id, clip.path)
    if rate is not None:
        set_rate(request, rate)
    if clip.object_uri:
        return transfers.client.import_source(request, on_progress)
    return import_clip(transfers, clip.path, request, on_progress)


def import_clip(
    transfers: Transfers, path: Path, request: extractor_pb2.ImportSourceRequest, on_progress: OnProgress
) -> extractor_pb2.Source:
    """Upload a clip and return its source; the request says how it is read. Errors are as in `upload`."""
    max_bytes = transfers.settings.max_source_bytes
    try:
        content = _frames(path, max_bytes) if path.is_dir() else _file(path, max_bytes)
    except OSError as error:
        raise InvalidInput(
            f"Cannot read {error.filename or path}: {error.strerror}. Check its path and permissions.",
            reason="INPUT_FILE",
        ) from error

    def import_source(uris: list[str]) -> extractor_pb2.Source:
        (request.object_uri,) = uris
        return transfers.client.import_source(request, on_progress)

    return transfers.import_files("extractor", [content], import_source, on_progress)


def _file(path: Path, max_bytes: int) -> Content:
    size = _size(path)
    _check_size(path, size, max_bytes)
    if size == 0:
        raise Unusable(
            f"Expected a video. Received {path}, which is empty (0 bytes).", reason="NOT_A_VIDEO", resource=str(path)
        )
    return FileContent(path, size)


def _frames(folder: Path, max_bytes: int) -> Content:
    frames = [folder / name for name in in_order((path.name for path in folder.iterdir()), str(folder))]
    tar = FrameTar(folder, frames, [_size(frame) for frame in frames])
    _check_size(folder, tar.size, max_bytes)
    return tar


def _size(path: Path) -> int:
    """Return the size of a regular file, in bytes. Other files, such as pipes, are refused: reading might never end."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise Unusable(
            f"Expected a video file or a folder of frames. Received {path}, which is not a regular file.",
            reason="NOT_A_FILE",
            resource=str(path),
        )
    return status.st_size


def _check_size(path: Path, size: int, max_bytes: int) -> None:
    """Refuse a clip that is too large, before it is read: reading 60 GB takes minutes."""
    if size > max_bytes:
        raise Unusable(
            f"{path} has {size} bytes; at most {max_bytes} are accepted. Shorten the clip, or raise "
            "FACEFOUNDRY_STORE_MAX_SOURCE_BYTES for this command and for the services.",
            reason="TOO_LARGE",
            resource=str(path),
        )
