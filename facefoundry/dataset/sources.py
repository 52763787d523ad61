"""Uploads clips to the store: a video file unchanged, a folder of frames as tar archives."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from facefoundry import codec
from facefoundry.errors import InvalidInput, Unusable
from facefoundry.media.frames import in_order
from facefoundry.settings import StoreSettings, read
from facefoundry.storage import keys, manifest
from facefoundry.storage.frames import FramePacker, TarLimits
from facefoundry.storage.info import SourceInfo
from facefoundry.storage.parts import SOURCE
from facefoundry.storage.store import Store

__all__ = ["TarLimits", "upload"]


def upload(
    path: str | Path,
    frame_rate: Fraction | int = 25,
    *,
    store: Store | None = None,
    on_bytes: Callable[[int, int], None] = lambda done, total: None,
    tar_limits: TarLimits | None = None,
) -> str:
    """Upload a clip and return its URI. A clip that is stored already is not uploaded again.

    Args:
        path: The video file, or the folder of numbered frames.
        frame_rate: Frames per second of a folder of frames; a video states its own.
        store: The object store; by default that of the environment variables `FACEFOUNDRY_STORE_...`.
        on_bytes: Called with the number of uploaded bytes and the total number of bytes.
        tar_limits: The most frames and bytes in one tar.

    Raises:
        InvalidInput: the clip cannot be read (INPUT_FILE).
        Unusable: the clip is not a regular file, is empty, too large or changes during the upload, or its frames are
            not numbered without gaps (NOT_A_FILE, NOT_A_VIDEO, TOO_LARGE, INPUT_CHANGES, NO_FRAMES, FRAME_NAME,
            FRAME_TWICE, FRAME_GAP).
    """
    path = Path(path)
    store = store or Store(read(StoreSettings))
    try:
        if path.is_dir():
            return _upload_frames(store, path, Fraction(frame_rate), on_bytes, tar_limits or TarLimits())
        return _upload_video(store, path, on_bytes)
    except OSError as error:
        raise InvalidInput(
            f"Cannot read {error.filename or path}: {error.strerror}. Check its path and permissions.",
            reason="INPUT_FILE",
        ) from error


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


def _check_size(store: Store, path: Path, size: int) -> None:
    """Refuse a clip that is too large, before it is read: reading 60 GB takes minutes."""
    max_bytes = store.settings.max_source_bytes
    if size > max_bytes:
        raise Unusable(
            f"{path} has {size} bytes; at most {max_bytes} are accepted. Shorten the clip, or raise "
            "FACEFOUNDRY_STORE_MAX_SOURCE_BYTES for this command and for the services.",
            reason="TOO_LARGE",
            resource=str(path),
        )


def _upload_video(store: Store, path: Path, on_bytes: Callable[[int, int], None]) -> str:
    size = _size(path)
    _check_size(store, path, size)
    if size == 0:
        raise Unusable(
            f"Expected a video. Received {path}, which is empty (0 bytes).", reason="NOT_A_VIDEO", resource=str(path)
        )
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    prefix = keys.source(keys.digest_of({"video": sha256}))
    if manifest.load_if_committed(store, prefix) is None:
        part = manifest.put_part(store, prefix, SOURCE + path.suffix.lower(), path)
        if part.sha256 != sha256:
            raise Unusable(
                f"{path} changed while it was read. Run the command again when the file is complete.",
                reason="INPUT_CHANGES",
                resource=str(path),
            )
        info = codec.to_values(SourceInfo(kind="video", file_name=path.name))
        manifest.commit(store, prefix, manifest.Manifest("source", {}, {}, (part,), info, sha256))
    on_bytes(size, size)
    return store.uri(prefix)


def _upload_frames(
    store: Store, folder: Path, frame_rate: Fraction, on_bytes: Callable[[int, int], None], tar_limits: TarLimits
) -> str:
    frames = [folder / name for name in in_order((path.name for path in folder.iterdir()), str(folder))]
    total = sum(map(_size, frames))
    _check_size(store, folder, total)
    packer = FramePacker(tar_limits)
    for _ in packer.pack(frames):
        pass
    rate = f"{frame_rate.numerator}/{frame_rate.denominator}"
    prefix = keys.source(keys.digest_of({"frames": packer.content_digest, "frame_rate": rate}))
    if manifest.load_if_committed(store, prefix) is None:
        parts, done = [], 0
        for name, tar in FramePacker(tar_limits).pack(frames):
            parts.append(manifest.put_part(store, prefix, name, tar))
            done += len(tar)
            on_bytes(min(done, total), total)
        info = codec.to_values(
            SourceInfo(kind="frames", file_name=folder.name, frame_rate=rate, frame_count=len(frames))
        )
        manifest.commit(store, prefix, manifest.Manifest("source", {}, {}, tuple(parts), info, packer.content_digest))
    on_bytes(total, total)
    return store.uri(prefix)
