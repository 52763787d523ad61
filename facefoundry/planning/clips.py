"""Finds the clips of a dataset's sources, with what is known about whom they show. It reads no clip."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from facefoundry.dataset import plan
from facefoundry.dataset.rights import UNSTATED, Rights
from facefoundry.dataset.splits import SPLITS
from facefoundry.errors import FieldViolation, InvalidInput
from facefoundry.planning import trees
from facefoundry.planning.dataset_file import (
    CelebDfTree,
    ClipFolder,
    ClipList,
    DatasetFile,
    DfdcTree,
    FfppTree,
    S3Prefix,
    Source,
    VoxCelebTree,
)
from facefoundry.planning.ids import assign_ids
from facefoundry.planning.rights import Stated, Statements
from facefoundry.planning.trees import FoundClip

__all__ = ["ListObjects", "ListedObject", "SourceClip", "find_clips"]


@dataclass(frozen=True)
class ListedObject:
    """An object of a bucket, as a listing shows it: URI, size in bytes, and ETag, which changes with the content."""

    uri: str
    size: int
    etag: str


ListObjects = Callable[[str], Iterable[ListedObject]]
"""Returns the objects below a prefix `s3://bucket/prefix`."""

_COLUMNS = ("clip", "id", "subject", "source_video", "rights", "split")


@dataclass(frozen=True)
class SourceClip:
    """A clip of a dataset.

    Attributes:
        id: Id of the sequence.
        name: Its name in the source, such as `id0_0000`.
        location: The file or folder of frames; or the URI of an object, `s3://...`.
        keys: Whom and what it shows: `subject ...`, `source video ...`; clips with a common key belong together.
        rights: The record of the rights to it, or `unstated`; None if nothing is said.
        split: The split that the source gives it; empty if it gives none.
        version: Size and ETag of an object of a bucket that was listed; empty for a file, and for a URI in a list.
    """

    id: str
    name: str
    location: str
    keys: tuple[str, ...] = ()
    rights: Stated = None
    split: str = ""
    version: str = ""

    @property
    def is_object(self) -> bool:
        """Whether the clip is an object of a bucket."""
        return self.location.startswith("s3://")

    @property
    def clip(self) -> plan.Clip:
        """The clip as a run takes it."""
        object_uri = self.location if self.is_object else ""
        rights = self.rights.digest if isinstance(self.rights, Rights) else UNSTATED
        return plan.Clip(self.id, Path(self.location), object_uri=object_uri, rights=rights)


def find_clips(dataset: DatasetFile, base: Path, list_objects: ListObjects) -> dict[str, SourceClip]:
    """Find the clips of all sources of a dataset, without those that it excludes.

    Args:
        dataset: The dataset.
        base: Folder of the dataset file, which its paths are relative to.
        list_objects: Lists a prefix of a bucket.

    Returns:
        The clips by id.

    Raises:
        InvalidInput: a source cannot be read or has no clips, an excluded clip does not exist, or a record of rights
            cannot be read or is that of no clip.
    """
    found: list[tuple[int, FoundClip]] = []
    for number, source in enumerate(dataset.sources):
        found += ((number, clip) for clip in _of_source(source, base, list_objects))
    ids = assign_ids([(number, clip.name) for number, clip in found])
    given = [clip.given_id or made for (_, clip), made in zip(found, ids, strict=True)]
    clips: dict[str, SourceClip] = {}
    statements = Statements(dataset, base)
    for clip_id, (number, clip) in zip(given, found, strict=True):
        if clip_id in clips:
            message = (
                f"{clips[clip_id].location} and {clip.location} both have the id {clip_id!r}. Give them other ids."
            )
            raise InvalidInput(message, reason="DUPLICATE_SEQUENCE")
        rights = statements.of(clip_id, clip, dataset.sources[number])
        clips[clip_id] = SourceClip(clip_id, clip.name, clip.location, clip.keys, rights, clip.split, clip.version)
    statements.check(clips, (key for clip in clips.values() for key in clip.keys))
    unknown = sorted(set(dataset.exclude.clips) - set(clips))
    if unknown:
        violation = FieldViolation("exclude.clips", f"names {', '.join(unknown)}, and no source has these clips")
        message = f"{violation.field} {violation.description}. Write ids, not file names."
        raise InvalidInput(message, reason="UNKNOWN_CLIP", violations=[violation])
    return {clip_id: clip for clip_id, clip in clips.items() if clip_id not in dataset.exclude.clips}


def _of_source(source: Source, base: Path, list_objects: ListObjects) -> list[FoundClip]:
    match source:
        case ClipFolder():
            folder = base / source.path
            return [FoundClip(name, str(clip.path)) for name, clip in plan.find_clips(folder).items()]
        case S3Prefix():
            return _objects(source.prefix, list_objects)
        case FfppTree():
            splits, dictionary = (base / path if path else None for path in (source.splits, source.conversion_dict))
            return trees.ffpp(base / source.path, source.level, splits, dictionary)
        case CelebDfTree():
            return trees.celeb_df(base / source.path)
        case DfdcTree():
            return trees.dfdc(base / source.path)
        case VoxCelebTree():
            return trees.voxceleb(base / source.path)
        case ClipList():
            return _rows(base / source.path)


def _objects(prefix: str, list_objects: ListObjects) -> list[FoundClip]:
    """Return the clips below a prefix; the path below it is the name."""
    found: list[FoundClip] = []
    for listed in sorted(list_objects(prefix), key=lambda listed: listed.uri):
        uri = listed.uri
        path = PurePosixPath(uri.removeprefix(prefix).lstrip("/") or uri.rpartition("/")[2])
        if path.suffix.lower() in plan.CLIP_SUFFIXES:
            name = str(path.with_suffix("")).replace("/", "_")
            found.append(FoundClip(name, uri, version=f"{listed.size} bytes etag={listed.etag}"))
    if not found:
        raise InvalidInput(
            f"Expected clips below {prefix}: objects with a suffix such as .mp4. Received none. Check the prefix.",
            reason="NO_SEQUENCES",
        )
    return found


def _rows(path: Path) -> list[FoundClip]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            found = list(_read_rows(path, csv.DictReader(file)))
    except OSError as error:
        message = f"Cannot read the list {path}: {error.strerror}. Check its path and permissions."
        raise InvalidInput(message, reason="CLIP_LIST") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"The list {path} is not a CSV file in UTF-8: {error}.", reason="CLIP_LIST") from error
    missing = [clip.location for clip in found if not clip.location.startswith("s3://") and not _exists(clip.location)]
    if missing:
        message = f"The list {path} names clips that do not exist: {', '.join(missing[:10])}. Correct the list."
        raise InvalidInput(message, reason="CLIP_LIST")
    if not found:
        raise InvalidInput(f"The list {path} has no rows below its header. Add clips.", reason="NO_SEQUENCES")
    return found


def _read_rows(path: Path, rows: csv.DictReader[str]) -> Iterator[FoundClip]:
    columns = rows.fieldnames or ()
    unknown = [name for name in columns if name not in _COLUMNS]
    if "clip" not in columns or unknown:
        raise InvalidInput(
            f"Expected a header of the column clip, and some of {', '.join(_COLUMNS[1:])}, in {path}. "
            f"Received {','.join(columns)!r}.",
            reason="CLIP_LIST",
        )
    for line, row in enumerate(rows, 2):
        values = {name: (value or "").strip() for name, value in row.items() if name in _COLUMNS}
        place = values["clip"]
        split = values.get("split", "")
        if not place or (split and split not in SPLITS) or None in row:
            message = (
                f"Line {line} of {path} must have a clip, a split of {', '.join(SPLITS)} or none, and no more fields."
            )
            raise InvalidInput(message, reason="CLIP_LIST")
        keys = [f"{title} {values[name]}" for name, title in _KEYS.items() if values.get(name)]
        location = place if place.startswith("s3://") else str(path.parent / place)
        rights = values.get("rights", "")
        if rights not in ("", UNSTATED):
            rights = str(path.parent / rights)
        found = FoundClip(PurePosixPath(place).stem, location, tuple(keys), split, rights)
        yield replace(found, given_id=_checked(values["id"], line, path)) if values.get("id") else found


_KEYS = {"subject": "subject", "source_video": "source video"}


def _checked(clip_id: str, line: int, path: Path) -> str:
    from facefoundry.storage import keys

    return keys.sequence_id(clip_id, f"{path}, line {line}, id")


def _exists(location: str) -> bool:
    return Path(location).exists()
