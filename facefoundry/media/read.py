"""Opens any source of frames: a video file, a folder of frames, or tars of frames. Frames are uint8 BGR arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from facefoundry.errors import Unusable
from facefoundry.media.pictures import open_folder, open_tars
from facefoundry.media.source import DEFAULT_FRAME_RATE, MediaInfo, ReadLimits, Source, frame_digest
from facefoundry.media.video import DECODER, Video

__all__ = ["DECODER", "MediaInfo", "ReadLimits", "Source", "frame_digest", "open_source"]


def open_source(
    path: Path | str | Sequence[Path | str],
    *,
    frame_rate: tuple[int, int] | None = None,
    tolerate_damage: bool = False,
    limits: ReadLimits | None = None,
) -> Source:
    """Open a video file, a folder of numbered frames, a tar of numbered frames, or several tars that make one source.

    Args:
        path: The file or folder, or the tars in any order.
        frame_rate: Frames per second, as (numerator, denominator); None for the rate that a video shows, or the default
            rate of a folder or tar.
        tolerate_damage: Whether damaged frames are read as far as possible, and listed in `Source.damaged`.
        limits: Largest media that is accepted.

    Returns:
        The open source; close it or use it as a context manager.

    Raises:
        Unusable: the source does not exist or cannot be decoded (NOT_A_VIDEO, CODEC, TRUNCATED, DAMAGED,
            FRAME_RATE, NOT_AN_IMAGE, NO_FRAMES, FRAME_GAP, FRAME_NAME, FRAME_TWICE, TOO_LARGE, SIZE_CHANGES,
            PIXEL_FORMAT).
    """
    paths = [Path(path)] if isinstance(path, Path | str) else [Path(item) for item in path]
    limits = limits or ReadLimits()
    if not paths:
        raise Unusable("Expected at least one file as the source. Received none.", reason="NO_FRAMES")
    for item in paths:
        if not item.exists():
            raise Unusable(f"The file or folder {item.name} does not exist.", reason="NOT_A_VIDEO", resource=item.name)
    if len(paths) == 1 and paths[0].is_dir():
        return open_folder(paths[0], frame_rate or DEFAULT_FRAME_RATE, limits, tolerate_damage=tolerate_damage)
    if all(item.is_file() and item.suffix == ".tar" for item in paths):
        return open_tars(paths, frame_rate or DEFAULT_FRAME_RATE, limits, tolerate_damage=tolerate_damage)
    if len(paths) == 1:
        return Video(paths[0], limits, frame_rate, tolerate_damage=tolerate_damage)
    message = "Expected one video, one folder, or tars of frames as the source. Received several files, not all tars."
    raise Unusable(message, reason="NOT_A_VIDEO")
