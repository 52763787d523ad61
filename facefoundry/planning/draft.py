"""Drafts a dataset file from its sources: what they are, and the pairs and splits that come with them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from facefoundry.errors import InvalidInput
from facefoundry.planning import trees, yaml_file
from facefoundry.planning.clips import ListObjects, find_clips
from facefoundry.planning.dataset_file import (
    CelebDfTree,
    ClipFolder,
    ClipList,
    DatasetFile,
    DfdcTree,
    FfppTree,
    Filelist,
    GivenSplits,
    NoSplits,
    RecipeChoice,
    RightsChoice,
    S3Prefix,
    SharedSplits,
    Shuffle,
    Source,
    Splitting,
    Statement,
    VoxCelebTree,
)
from facefoundry.planning.objects import lister
from facefoundry.settings import StoreSettings, read

__all__ = ["draft", "plan"]

_FEW_CLIPS = 6  # fewer cannot be divided into three splits of a pair each


def plan(
    sources: Sequence[str | Path],
    out: str | Path = "dataset.yaml",
    *,
    name: str | None = None,
    recipe: str = "ffpp",
    rights: Statement | None = None,
    list_objects: ListObjects | None = None,
) -> DatasetFile:
    """Write a dataset file for sources of clips, and return what it says.

    Args:
        sources: Folders of clips, folders of known datasets as downloaded, CSV lists, or prefixes `s3://bucket/...`.
        out: The file to write.
        name: Name of the dataset; by default the name of the first source.
        recipe: Name of the recipe.
        rights: Why the faces may be used: a record, the path of a file with one, relative to `out`, or `unstated`. None
            leaves it to whoever edits the file, without which no run begins.
        list_objects: Lists a prefix of a bucket; by default with the keys of the environment.

    Raises:
        InvalidInput: a source cannot be read or has no clips, or the file exists (FILE_EXISTS).
    """
    out = Path(out)
    if not sources:
        raise InvalidInput("Expected a folder, list or prefix of clips. Received none.", reason="SOURCE")
    if out.exists():
        message = f"{out} exists. Delete it, or choose another file with -o."
        raise InvalidInput(message, reason="FILE_EXISTS")
    made = draft(
        [str(source) for source in sources],
        out.parent,
        name=name,
        recipe=recipe,
        rights=rights,
        list_objects=list_objects or lister(read(StoreSettings)),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(yaml_file.dump(made), encoding="utf-8")
    return made


def draft(
    sources: Sequence[str],
    base: Path,
    *,
    name: str | None,
    recipe: str,
    rights: Statement | None = None,
    list_objects: ListObjects,
) -> DatasetFile:
    """Return a dataset file for sources of clips.

    Args:
        sources: As in `plan`.
        base: Folder of the dataset file.
        name: As in `plan`.
        recipe: Name of the recipe.
        rights: As in `plan`.
        list_objects: Lists a prefix of a bucket.

    Raises:
        InvalidInput: a source cannot be read, or has no clips.
    """
    try:
        found = tuple(_source(source, base) for source in sources)
        splits_folder = next((folder for source in found if (folder := _splits_folder(source, base))), None)
        made = DatasetFile(
            name=name or _name(sources[0]),
            sources=found,
            rights=RightsChoice(default=rights),
            pairs=Filelist(path=_relative(splits_folder, base)) if splits_folder else Shuffle(),
            recipe=RecipeChoice(name=recipe),
        )
    except ValidationError as error:
        raise yaml_file.invalid(error, "The dataset") from error
    clips = find_clips(made, base, list_objects)
    splits: Splitting = SharedSplits()
    if splits_folder:
        splits = GivenSplits()
    elif len(clips) < _FEW_CLIPS:
        splits = NoSplits()
    return made.model_copy(update={"splits": splits})


def _source(text: str, base: Path) -> Source:
    if text.startswith("s3://"):
        return S3Prefix(prefix=text if text.count("/") > 2 else f"{text}/")
    path = Path(text)
    relative = _relative(path, base)
    if path.is_file():
        if path.suffix.lower() != ".csv":
            message = f"Expected a folder, a list that ends with .csv, or s3://bucket/prefix/. Received {text}."
            raise InvalidInput(message, reason="SOURCE")
        return ClipList(path=relative)
    if not path.is_dir():
        raise InvalidInput(f"The source {text} does not exist. Check its path.", reason="SOURCE")
    match trees.kind_of(path):
        case "ffpp":
            levels = sorted(folder.name for folder in (path / "original_sequences" / "youtube").iterdir())
            return FfppTree(path=relative, level="raw" if "raw" in levels or not levels else levels[0])
        case "celeb-df":
            return CelebDfTree(path=relative)
        case "dfdc":
            return DfdcTree(path=relative)
        case "voxceleb":
            return VoxCelebTree(path=relative)
    return ClipFolder(path=relative)


def _splits_folder(source: Source, base: Path) -> Path | None:
    return trees.find_splits(base / source.path) if isinstance(source, FfppTree) else None


def _relative(path: Path, base: Path) -> str:
    return os.path.relpath(path, base)


def _name(source: str) -> str:
    last = (source if source.startswith("s3://") else str(Path(source).resolve())).rstrip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", last.removesuffix(".csv")).lstrip("._-")[:63] or "dataset"
