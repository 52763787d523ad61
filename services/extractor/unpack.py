"""Unpacks a tar of frames, in a sandbox: others made the tar."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from facefoundry.errors import Unusable
from facefoundry.media.frames import in_order, is_frame
from facefoundry.work.messages import Message, Progress, Result
from facefoundry.work.workspace import Workspace
from services.extractor.functions import UnpackArgs, Unpacked

__all__ = ["unpack"]

_PROGRESS_FRAMES: Final = 100


def _ends(path: Path, offset: int) -> bool:
    """Return whether a tar ends at an offset: with a block of zeros. `tarfile` also takes files that are cut off."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(tarfile.BLOCKSIZE) == tarfile.NUL * tarfile.BLOCKSIZE


def unpack(arguments: UnpackArgs, workspace: Workspace) -> Iterator[Message[Unpacked]]:
    """Write the frames of a tar as `000000.png` and so on, in the order of their numbers.

    Args:
        arguments: The tar and its limits.
        workspace: Folders in which files are read and written.

    Yields:
        The progress, and last the result.

    Raises:
        Unusable: the file is not a tar (NOT_A_VIDEO) or is cut off (TRUNCATED), it has too many frames (TOO_LARGE), or
            the frames cannot be put in order (FRAME_NAME, FRAME_TWICE, FRAME_GAP, NO_FRAMES).
    """
    path = workspace.input(arguments.tar)
    size = path.stat().st_size
    try:
        with tarfile.open(path, "r:") as tar:
            members: dict[str, tarfile.TarInfo] = {}
            for member in tar:
                # A sparse file could be much larger than the tar.
                if not member.isreg() or member.issparse() or not is_frame(member.name):
                    continue
                if len(members) == arguments.max_frames:
                    limit = f"{arguments.max_frames} frames, the most that are accepted"
                    message = f"{path.name} has more than {limit}. Import a video instead."
                    raise Unusable(message, reason="TOO_LARGE", resource=path.name)
                members[member.name] = member
            if not _ends(path, tar.offset):
                raise Unusable(f"{path.name} is cut off.", reason="TRUNCATED", resource=path.name)
            names = in_order(members, path.name)
            for number, name in enumerate(names):
                data = tar.extractfile(members[name])
                content = b"" if data is None else data.read(size)
                if len(content) != members[name].size:
                    raise Unusable(f"{path.name} ends within {name}.", reason="TRUNCATED", resource=path.name)
                suffix = PurePosixPath(name).suffix.lower()
                workspace.made_part(f"{number:06d}{suffix}").write_bytes(content)
                if number % _PROGRESS_FRAMES == 0:
                    yield Progress("unpack", number, len(names))
    except tarfile.TarError as error:
        raise Unusable(f"{path.name} is not a tar of frames.", reason="NOT_A_VIDEO", resource=path.name) from error
    yield Result(Unpacked(frame_count=len(names)))
