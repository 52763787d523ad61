"""Finds what a person asks to revoke: a clip by its digest or URI, or the subject of records of rights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from facefoundry.dataset.layouts import GROUP, layout_of
from facefoundry.dataset.record import PairRecord, RunRecord
from facefoundry.dataset.rights import RIGHTS_FILE, ClipRights, read_rights, require_digests
from facefoundry.dataset.run_folder import RUN_FILE, RunFolder, pair_file, parse_pair
from facefoundry.dataset.statements import ChangedPlace
from facefoundry.dataset.stored_dataset import MANIFEST, DatasetPlace
from facefoundry.errors import DataLoss, InvalidInput, NotFound, Unusable
from facefoundry.revocation.records import change_of, require_ids, results_named, revoked_clips
from facefoundry.storage import document, keys
from facefoundry.storage.revocation import digests_in
from facefoundry.storage.store import Store

__all__ = ["UNREADABLE", "Asked", "Recorded", "asked_for", "recorded"]

_RUNS, _DATASETS = "runs/", "datasets/"

UNREADABLE: Final = (DataLoss, InvalidInput, NotFound, Unusable)
"""Errors of a record that is damaged, incomplete, or another program's or version's."""


def _no_pair(pair: str) -> PairRecord:
    return parse_pair(None, pair, pair)


@dataclass(frozen=True)
class Recorded:
    """What a dataset, or the record of a run, says of its clips.

    Attributes:
        where: Its place, as in `ChangedPlace`.
        run: Its run record; None for a dataset that is not finished.
        rights: The rights to its clips; empty for the record of a run.
        load_pair: Reads the record of a pair.
    """

    where: str
    run: RunRecord | None
    rights: ClipRights = field(default_factory=ClipRights)
    load_pair: Callable[[str], PairRecord] = _no_pair

    def __post_init__(self) -> None:
        """Refuse ids that are none.

        Raises:
            InvalidInput: an id of a clip or a pair cannot be part of a path (SEQUENCE_ID).
        """
        if self.run:
            require_ids(self.where, (*self.run.sequences, *self.rights.clips), self.run.pairs)

    def change(self, digests: dict[str, str]) -> ChangedPlace | None:
        """Return what has to be removed from it; None if nothing has."""
        return change_of(self.where, self.run, self.rights, digests) if self.run else None

    def named(self, digests: Mapping[str, str], damaged: set[str]) -> dict[str, str]:
        """Return what its records say was made of the clips that were revoked, as `results_named` does.

        Args:
            digests: What was revoked, by digest.
            damaged: Gets the names of the records that cannot be read.
        """
        revoked = revoked_clips(self.run, self.rights, digests) if self.run else set()
        if self.run is None or not revoked:
            return {}
        pairs = []
        for pair in (pair for pair in self.run.pairs if revoked & set(pair.split("_"))):
            try:
                pairs.append(self.load_pair(pair))
            except UNREADABLE:
                damaged.add(f"{self.where}: {pair_file(pair)}")
        return results_named(self.run, revoked, pairs)


@dataclass(frozen=True)
class Asked:
    """What is to be revoked.

    Attributes:
        revoked: What was asked for, in one form: `subject <name>`, or a digest.
        digests: Kind of what has each digest, by the digest.
    """

    revoked: str
    digests: dict[str, str]


def recorded(store: Store, folders: Iterable[Path]) -> tuple[list[Recorded], list[str]]:
    """Read the records of all runs and datasets in the bucket, and of datasets in folders.

    Returns:
        What they say, and the keys in the bucket that cannot be read, so that nobody knows which clips they have.

    Raises:
        DataLoss: the rights in a folder are damaged (RIGHTS_FILE).
        InvalidInput: a folder has no run record (NO_RUN), or one that cannot be read.
        Unusable: a newer version of FaceFoundry wrote a record in a folder (NEWER_FORMAT).
    """
    found, damaged = list[Recorded](), list[str]()

    def add(key: str, read: Callable[[Store, str], Recorded]) -> None:
        try:
            found.append(read(store, key))
        except UNREADABLE:
            damaged.append(key)

    for key in list(store.list(_RUNS)):
        if key.count("/") == 2 and key.endswith(f"/{RUN_FILE}"):
            add(key, _of_run)
    listed = list(store.list(_DATASETS))
    finished = sorted(key.removesuffix(f"/{MANIFEST}") for key in listed if key.endswith(f"/{MANIFEST}"))
    for where in finished:
        add(f"{where}/{MANIFEST}", _of_dataset)
    names_there = {"/".join(key.split("/")[:2]) for key in listed if key.count("/") > 1}
    unfinished = sorted(name for name in names_there if not any(f"{each}/".startswith(f"{name}/") for each in finished))
    found += [Recorded(where, None) for where in unfinished]
    return [*found, *map(_of_folder, folders)], damaged


def asked_for(text: str, bucket: str, known: Sequence[Recorded]) -> Asked:
    """Return what a person asks to revoke.

    Args:
        text: The URI of a clip below `sources/`, its digest, the SHA-256 of a video, or a subject.
        bucket: Name of the bucket.
        known: What runs and datasets say of their clips.

    Raises:
        InvalidInput: it is the URI of something else (URI).
    """
    if text.startswith("s3:"):
        text = keys.prefix_of(bucket, text, "sources", "SOURCE").partition("/")[2]
    if list(digests_in(text)) == [text]:
        return Asked(text, {text: "sources" if len(text) == len("0" * 40) else "content"})
    if not text.strip():
        raise InvalidInput("Expected a clip or a subject. Received an empty text.", reason="USAGE")
    records = {
        digest: "rights" for each in known for digest, record in each.rights.records.items() if record.subject == text
    }
    # The source of a clip has the rights of its first import, which may be other ones.
    clips = {
        digest: "sources"
        for each in known
        if each.run
        for clip, sequence in each.run.sequences.items()
        if {sequence.rights, each.rights.digest_of(clip)} & records.keys()
        for digest in digests_in(sequence.source_uri)
    }
    return Asked(f"subject {text}", clips | records)


def _of_run(store: Store, key: str) -> Recorded:
    where = key.removesuffix(f"/{RUN_FILE}")

    @cache
    def load_pair(pair: str) -> PairRecord:
        return _stored_pair(store, f"{where}/{pair_file(pair)}", pair)

    return Recorded(where, document.get(store, key, RunRecord), load_pair=load_pair)


def _stored_pair(store: Store, key: str, pair: str) -> PairRecord:
    return document.find(store, key, PairRecord) or _no_pair(pair)  # a pair that has not begun has no record


def _of_dataset(store: Store, key: str) -> Recorded:
    where = key.removesuffix(f"/{MANIFEST}")
    place = DatasetPlace(store.bucket, where)
    made = place.manifest(store)
    layout = GROUP.find(made.layout if made else "ffpp")(Path())
    run, rights = layout.run_folder() / RUN_FILE, layout.filelist().with_name(RIGHTS_FILE)
    listed = {file.path for file in made.files} if made else set()
    stated = ClipRights()
    if rights.as_posix() in listed:
        stated = document.get(store, place.key(rights.as_posix()), ClipRights)
        require_digests(stated, place.key(rights.as_posix()))

    @cache
    def load_pair(pair: str) -> PairRecord:
        return _stored_pair(store, place.key((layout.run_folder() / pair_file(pair)).as_posix()), pair)

    return Recorded(where, document.get(store, place.key(run.as_posix()), RunRecord), stated, load_pair)


def _of_folder(folder: Path) -> Recorded:
    layout = layout_of(folder)
    rights = layout.filelist().with_name(RIGHTS_FILE)
    folder_of_run = RunFolder(layout.run_folder())
    run, stated = folder_of_run.load_run(), read_rights(rights) if rights.is_file() else ClipRights()
    return Recorded(str(folder.resolve()), run, stated, folder_of_run.load_pair)
