"""Freezes a dataset: writes its clips, pairs and splits down as files of one folder, which needs nothing else.

A run of these files makes the same dataset anywhere, whatever is added to the bucket in the meantime.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import yaml

from facefoundry.dataset.rights import UNSTATED, Rights
from facefoundry.dataset.statements import refuse_revoked_clips
from facefoundry.errors import FieldViolation, InvalidInput
from facefoundry.planning import yaml_file
from facefoundry.planning.clips import ListObjects, SourceClip
from facefoundry.planning.dataset_file import DatasetFile
from facefoundry.planning.resolve import ResolvedDataset
from facefoundry.planning.running import plan_of
from facefoundry.storage.revocation import refuse_revoked
from facefoundry.storage.store import Store

__all__ = ["DATASET_FILE", "FrozenDataset", "freeze", "refuse_revoked_dataset"]

DATASET_FILE = "dataset.yaml"
"""Name of the frozen dataset file."""

_CLIPS, _PAIRS, _RECORD = "clips.csv", "pairs.json", re.compile(r"rights-[0-9a-f]{16}\.yaml")
T = TypeVar("T")
_KEYS = {"subject": "subject ", "source_video": "source video "}


@dataclass(frozen=True)
class FrozenDataset:
    """A dataset that needs nothing but its files.

    Attributes:
        dataset: What the dataset file says that it was made of.
        files: The files by name, `DATASET_FILE` among them.
        resolved: Its clips, splits and pairs.
    """

    dataset: DatasetFile
    files: Mapping[str, bytes]
    resolved: ResolvedDataset


def freeze(path: Path, list_objects: ListObjects) -> FrozenDataset:
    """Freeze a dataset.

    Args:
        path: The dataset file.
        list_objects: Lists a prefix of a bucket.

    Raises:
        InvalidInput: the dataset file is wrong, its clips cannot be divided into splits, or some of its clips or its
            base are files of this machine (NOT_IN_BUCKET).
    """
    dataset, (plan, resolved) = yaml_file.load(path), plan_of(path, list_objects)
    here = [clip.location for clip in resolved.clips.values() if not clip.is_object]
    if here:
        raise _not_in_bucket(
            "sources",
            f"has {len(here)} clips that are files of this machine, such as {here[0]}",
            "Copy the clips to a bucket and name their prefix, s3://BUCKET/PREFIX/; or make the dataset from here with "
            "`facefoundry run`.",
        )
    if plan.base is not None:
        raise _not_in_bucket(
            "recipe.set",
            f"has the path {plan.base} for training.start_from",
            "Import the model with facefoundry.upload_model, and write its URI.",
        )
    subjects, pictures = _subjects(dataset, path.parent, resolved.clips)
    # Fields with their defaults are left out: an older image of the command may not know them.
    frames = _of(dataset.exclude.frames, resolved.clips)
    stated = dataset.model_dump(mode="json", exclude_defaults=True)
    frozen = {
        **stated,
        "format": dataset.format,
        "sources": [{"kind": "list", "path": _CLIPS}],
        "rights": {},
        "exclude": {"frames": frames} if frames else {},
        "frame_rates": _of(dataset.frame_rates, resolved.clips),
        "subjects": subjects,
        "pairs": {"strategy": "filelist", "path": _PAIRS},
        "splits": {"kind": "given" if resolved.split_of else "none"},
        "recipe": dataset.recipe.model_dump(mode="json"),
    }
    text = yaml.safe_dump({name: value for name, value in frozen.items() if value}, sort_keys=False, allow_unicode=True)
    pairs = json.dumps([list(pair) for pair in resolved.pairs], separators=(",", ":")) + "\n"
    records = {_record_file(record.digest): _record(record) for record in plan.rights.records.values()}
    files = {DATASET_FILE: text, _CLIPS: _rows(resolved), _PAIRS: pairs, **records}
    return FrozenDataset(dataset, {**{name: text.encode() for name, text in files.items()}, **pictures}, resolved)


def refuse_revoked_dataset(store: Store, name: str, files: Mapping[str, bytes]) -> None:
    """Refuse a frozen dataset with clips or rights that were revoked since.

    Args:
        store: The bucket.
        name: Name of the dataset.
        files: Its files, by name.

    Raises:
        Unusable: there are some (REVOKED).
    """
    clips = csv.DictReader(io.StringIO(files[_CLIPS].decode()))
    records = (yaml.safe_load(data) for file, data in files.items() if _RECORD.fullmatch(file))
    refuse_revoked(store, *(Rights.model_validate(record).digest for record in records))
    refuse_revoked_clips(store, name, [row["id"] for row in clips])


def _rows(resolved: ResolvedDataset) -> str:
    """Return the list of the clips, as `ClipList` reads it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["clip", "id", *_KEYS, "rights", "split"])
    for clip in resolved.clips.values():
        known = [_key(clip, start) for start in _KEYS.values()]
        writer.writerow([clip.location, clip.id, *known, _rights(clip), resolved.split_of.get(clip.id, "")])
    return text.getvalue()


def _rights(clip: SourceClip) -> str:
    """Return what the list says of the rights to a clip. A clip without a statement has been refused before."""
    return _record_file(clip.rights.digest) if isinstance(clip.rights, Rights) else UNSTATED


def _record_file(digest: str) -> str:
    return f"rights-{digest[:16]}.yaml"


def _record(record: Rights) -> str:
    return yaml.safe_dump(record.model_dump(mode="json", exclude_defaults=True), sort_keys=False, allow_unicode=True)


def _key(clip: SourceClip, start: str) -> str:
    return next((key.removeprefix(start) for key in clip.keys if key.startswith(start)), "")


def _of(values: Mapping[str, T], clips: Mapping[str, SourceClip]) -> dict[str, T]:
    """Return the values of the clips that are left."""
    return {clip_id: value for clip_id, value in values.items() if clip_id in clips}


def _subjects(
    dataset: DatasetFile, folder: Path, clips: Mapping[str, SourceClip]
) -> tuple[dict[str, str], dict[str, bytes]]:
    """Return the subjects of clips, and the files of those that are pictures."""
    subjects, pictures = dict[str, str](), dict[str, bytes]()
    for clip_id, who in dataset.subjects.items():
        picture = folder / who
        if clip_id in clips and picture.is_file():
            who = f"subject-{clip_id}{picture.suffix}"
            pictures[who] = picture.read_bytes()
        subjects[clip_id] = who
    return subjects, pictures


def _not_in_bucket(field: str, what: str, advice: str) -> InvalidInput:
    return InvalidInput(
        f"Expected a dataset of clips in a bucket, because a Job reads no files of this machine. {field} {what}. "
        f"{advice}",
        reason="NOT_IN_BUCKET",
        violations=[FieldViolation(field, what)],
    )
