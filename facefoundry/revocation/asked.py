"""Finds what a person asks to revoke: a clip by its digest or URI, or the subject of records of rights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from facefoundry.dataset.layouts import GROUP, layout_of
from facefoundry.dataset.record import RunRecord
from facefoundry.dataset.rights import RIGHTS_FILE, ClipRights, read_rights
from facefoundry.dataset.run_folder import RUN_FILE, RunFolder
from facefoundry.dataset.statements import ChangedPlace
from facefoundry.dataset.stored_dataset import MANIFEST, DatasetPlace
from facefoundry.errors import InvalidInput
from facefoundry.revocation.records import change_of, require_ids
from facefoundry.storage import document, keys
from facefoundry.storage.revocation import digests_in
from facefoundry.storage.store import Store

__all__ = ["Asked", "Recorded", "asked_for", "recorded"]

_RUNS, _DATASETS = "runs/", "datasets/"


@dataclass(frozen=True)
class Recorded:
    """What a dataset, or the record of a run, says of its clips.

    Attributes:
        where: Its place, as in `ChangedPlace`.
        run: Its run record; None for a dataset that is not finished.
        rights: The rights to its clips; empty for the record of a run.
    """

    where: str
    run: RunRecord | None
    rights: ClipRights

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


@dataclass(frozen=True)
class Asked:
    """What is to be revoked.

    Attributes:
        revoked: What was asked for, in one form: `subject <name>`, or a digest.
        digests: Kind of what has each digest, by the digest.
    """

    revoked: str
    digests: dict[str, str]


def recorded(store: Store, folders: Iterable[Path]) -> list[Recorded]:
    """Read the records of all runs and datasets in the bucket, and of datasets in folders.

    Raises:
        DataLoss: a record is damaged, so that nobody knows which clips it has.
        InvalidInput: a folder has no run record (NO_RUN), or one that cannot be read.
        Unusable: a newer version of FaceFoundry wrote a record (NEWER_FORMAT).
    """
    names = list(store.list(_RUNS))
    found = [
        Recorded(key.removesuffix(f"/{RUN_FILE}"), document.get(store, key, RunRecord), ClipRights())
        for key in names
        if key.count("/") == 2 and key.endswith(f"/{RUN_FILE}")
    ]
    listed = list(store.list(_DATASETS))
    finished = sorted(key.removesuffix(f"/{MANIFEST}") for key in listed if key.endswith(f"/{MANIFEST}"))
    found += [_of_dataset(store, where) for where in finished]
    names_there = {"/".join(key.split("/")[:2]) for key in listed if key.count("/") > 1}
    unfinished = sorted(name for name in names_there if not any(f"{each}/".startswith(f"{name}/") for each in finished))
    found += [Recorded(where, None, ClipRights()) for where in unfinished]
    return [*found, *map(_of_folder, folders)]


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


def _of_dataset(store: Store, where: str) -> Recorded:
    place = DatasetPlace(store.bucket, where)
    made = place.manifest(store)
    layout = GROUP.find(made.layout if made else "ffpp")(Path())
    run, rights = layout.run_folder() / RUN_FILE, layout.filelist().with_name(RIGHTS_FILE)
    listed = {file.path for file in made.files} if made else set()
    return Recorded(
        where,
        document.get(store, place.key(run.as_posix()), RunRecord),
        document.get(store, place.key(rights.as_posix()), ClipRights) if rights.as_posix() in listed else ClipRights(),
    )


def _of_folder(folder: Path) -> Recorded:
    layout = layout_of(folder)
    rights = layout.filelist().with_name(RIGHTS_FILE)
    run = RunFolder(layout.run_folder()).load_run()
    return Recorded(str(folder.resolve()), run, read_rights(rights) if rights.is_file() else ClipRights())
