"""Takes the sound of sequences from their clips in the store, for exports."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from facefoundry.dataset import files
from facefoundry.dataset.record import SequenceRecord
from facefoundry.errors import InvalidInput, NotFound, Unusable
from facefoundry.exports.dataset import Sound
from facefoundry.exports.making import LIMITS
from facefoundry.process.sandbox import Isolation, Sandbox
from facefoundry.storage import sources
from facefoundry.storage.store import Store

__all__ = ["fetch_sounds"]

_TAKE: Final = "facefoundry.exports.makers.sound:take"


def fetch_sounds(store: Store, records: Mapping[str, SequenceRecord], folder: Path) -> dict[str, Sound]:
    """Fetch clips one after the other, keep the sound of each in a folder, and return it by id.

    Args:
        store: The store with the clips.
        records: The sequences by id.
        folder: A folder for the sounds; it is made. There is never more than one clip in it.

    Raises:
        InvalidInput: the store does not have a clip any more (NO_SOURCE), or it is in another bucket.
        DataLoss: a clip is not the one that was stored.
    """
    with Sandbox(LIMITS, allow=(_TAKE.partition(":")[0],)) as sandbox:
        return {id_: _sound(store, sandbox, id_, record, folder) for id_, record in records.items()}


def _sound(store: Store, sandbox: Sandbox, id_: str, record: SequenceRecord, folder: Path) -> Sound:
    try:
        source = sources.find_source(store, record.source_uri, id_, f"source_uri of {id_}")
    except NotFound as error:
        raise InvalidInput(
            f"Expected the clip of {id_} in {record.source_uri}, as its sound was asked for. {error.message} Export "
            "without --sound, or run the dataset again.",
            reason="NO_SOURCE",
            resource=record.source_uri,
        ) from error
    if source.is_frames:
        return Sound(None, "its clip is a folder of frames")
    work, kept = folder / "work", folder / "kept" / f"{id_}.mp4"
    clip, made, temporary = work / "clip", work / "made", work / "temporary"
    try:
        for path in (clip, made, temporary, kept.parent):
            files.make_folder(path)
        for _ in sources.fetch(store, source.files, clip):
            pass
        sandbox.isolation = Isolation(work.resolve(), (made.resolve(),), temporary.resolve(), (clip.resolve(),))
        arguments = {"folder": str(made.resolve()), "source": str((clip / next(iter(source.files))).resolve())}
        try:
            reasons = list(sandbox.run(_TAKE, path=kept.name, frames=record.frames, fps=record.fps, **arguments))
        except Unusable as error:
            return Sound(None, f"its clip cannot be read: {error.message.rstrip('.')}")
        if reasons != [""]:
            return Sound(None, str(reasons[-1]))
        (made / kept.name).replace(kept)
        return Sound(kept)
    finally:
        shutil.rmtree(work, ignore_errors=True)
