"""Removes clips from the records and lists of a dataset: its run record, rights, pairs, splits and dropped fakes.

What only sums up all videos, such as the result of the leak test, is removed as a whole: it can be made again.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from facefoundry import codec
from facefoundry.dataset import files
from facefoundry.dataset.dropped import DroppedFakes
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.plan import read_filelist
from facefoundry.dataset.record import PairRecord, Retraining, RunRecord
from facefoundry.dataset.rights import RIGHTS_FILE, ClipRights, read_rights
from facefoundry.dataset.run_folder import RunFolder, is_pair_id, pair_file
from facefoundry.dataset.splits import splits_folder
from facefoundry.dataset.statements import ChangedPlace
from facefoundry.errors import InvalidInput
from facefoundry.storage import keys
from facefoundry.storage.revocation import digests_in

__all__ = [
    "both_fakes",
    "change_of",
    "change_records",
    "change_run",
    "not_reused",
    "remove",
    "require_ids",
    "results_named",
    "revoked_clips",
]

_SUMS: Final = ("leaks.json", "measured", "balance.json", "balance.html")
"""What sums up all videos of a dataset, in the folder of its run record."""

_RESULT: Final = re.compile(r"s3://[^/]+/(?P<kind>extractions|trainings|models|conversions)/(?P<digest>[0-9a-f]{40})/?")
"""The URI of a result that is made of clips only. An imported model can be anybody's, and its manifest says whose."""


def change_of(where: str, run: RunRecord, rights: ClipRights, digests: Mapping[str, str]) -> ChangedPlace | None:
    """Return what has to be removed from a dataset or from the record of a run; None if nothing has.

    Args:
        where: Its place.
        run: Its run record.
        rights: The rights to its clips; empty if they are not known.
        digests: What was revoked, by digest.
    """
    revoked = revoked_clips(run, rights, digests)
    if not revoked:
        return None
    pairs = {pair for pair in run.pairs if revoked & set(pair.split("_"))}
    kept = {clip for pair in run.pairs if pair not in pairs for clip in pair.split("_")}
    unpaired = {clip for pair in pairs for clip in pair.split("_")} - kept
    return ChangedPlace(where, tuple(sorted(revoked | unpaired)), tuple(sorted(pairs)))


def revoked_clips(run: RunRecord, rights: ClipRights, digests: Mapping[str, str]) -> set[str]:
    """Return the ids of the clips whose source or rights have one of the digests that were revoked."""

    def is_revoked(*texts: str) -> bool:
        return any(digest in digests for text in texts for digest in digests_in(text))

    found = {clip for clip, digest in rights.clips.items() if is_revoked(digest)}
    return found | {clip for clip, each in run.sequences.items() if is_revoked(each.source_uri, each.rights)}


def results_named(run: RunRecord, clips: Iterable[str], pairs: Iterable[PairRecord]) -> dict[str, str]:
    """Return what records say was made of clips: the kind of each result, or `content`, by its digest.

    The manifest of a result between them, such as an extraction, may have been deleted by a retention.

    Args:
        run: The run record.
        clips: Ids of the clips.
        pairs: The records of pairs with such a clip, with their second trainings.
    """
    sequences = [run.sequences[clip] for clip in clips if clip in run.sequences]
    uris = [sequence.extraction_uri for sequence in sequences]
    for pair in pairs:
        again = pair.retraining or Retraining()
        for training in (pair.training, again.training):
            uris += [training.uri, training.model_uri]
        uris += [fake.uri for fake in (*pair.fakes, *again.fakes)]
    contents = [sequence.content_digest for sequence in sequences]
    named = {digest: "content" for content in contents for digest in digests_in(content)}
    return named | {found["digest"]: found["kind"] for found in map(_RESULT.match, uris) if found}


def not_reused(
    place: ChangedPlace, found: ChangedPlace | None, run: RunRecord, rights: ClipRights
) -> ChangedPlace | None:
    """Return what has still to be removed from a place by an earlier statement; None if nothing has.

    An id that the records name again now belongs to somebody else, unless the digests of the records say otherwise.

    Args:
        place: The place, as the statement names it.
        found: What the digests of its records say has to be removed now.
        run: Its run record.
        rights: The rights to its clips; empty if they are not known.
    """
    found = found or ChangedPlace(place.where, (), ())
    clips = {*run.sequences, *rights.clips, *(clip for pair in run.pairs for clip in pair.split("_"))}
    made = ChangedPlace(
        place.where,
        tuple(clip for clip in place.clips if clip not in clips),
        tuple(pair for pair in place.pairs if not set(both_fakes([pair])) & set(run.pairs)),
    ).merged(found)
    return made if made.clips or made.pairs else None


def change_run(run: RunRecord, place: ChangedPlace, is_done: Callable[[str], bool], rights: ClipRights | None) -> None:
    """Remove clips and pairs from a run record.

    Args:
        run: The record.
        place: What is removed.
        is_done: Returns whether a pair that is left is done.
        rights: The rights to the clips that are left; None if they are not known.
    """
    run.pairs = [pair for pair in run.pairs if pair not in place.pairs]
    run.sequences = {clip: found for clip, found in run.sequences.items() if clip not in place.clips}
    run.failures = {pair: failure for pair, failure in run.failures.items() if pair in run.pairs}
    run.done = sum(map(is_done, run.pairs))
    if rights is not None:
        run.rights, run.rights_end = rights.summary(), rights.end


def change_records(layout: Layout, place: ChangedPlace, version: str) -> None:
    """Remove clips and pairs from the records and lists in a folder. Repeating it changes nothing more.

    Args:
        layout: Names the paths.
        place: What is removed.
        version: The version of the dataset without it.

    Raises:
        NotFound: there is no run record (NO_RUN).
        InvalidInput: a record or a list is damaged.
        DataLoss: the file of the rights is damaged (RIGHTS_FILE).
    """
    folder = RunFolder(layout.run_folder())
    run = folder.load_run()
    rights = _rights_left(layout, place)
    change_run(run, place, lambda pair: folder.load_pair(pair).state == "done", rights)
    run.dataset_version = version if run.dataset_version else ""
    for path in (layout.filelist(), *sorted(splits_folder(layout).glob("*.json"))):
        if path.is_file():
            _change_list(path, place)
    dropped = DroppedFakes(layout)
    for fake in both_fakes(place.pairs):
        dropped.remove(fake)
    for name in _SUMS:
        remove(folder.path / name)
    folder.save_run(run)  # before the rights: a clip that only they name is found by them again
    if rights is not None:
        files.write(layout.filelist().with_name(RIGHTS_FILE), codec.to_json(rights) + b"\n")
    for pair in place.pairs:
        with suppress(FileNotFoundError):
            (folder.path / pair_file(pair)).unlink()


def remove(path: Path) -> None:
    """Delete a file or a folder that may be missing. Of a link only the link is deleted."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def require_ids(where: str, clips: Iterable[str], pairs: Iterable[str]) -> None:
    """Refuse ids that cannot be part of a path, as a record from elsewhere may have.

    Raises:
        InvalidInput: an id of a clip or of a pair is none (SEQUENCE_ID).
    """
    for clip in clips:
        keys.sequence_id(clip, f"{where}: sequences")
    for pair in pairs:
        if not is_pair_id(pair) or pair.count("_") != 1:
            raise InvalidInput(
                f"Expected pairs such as 033_097 in the record of {where}. Received {pair!r}. Run the dataset again.",
                reason="SEQUENCE_ID",
            )


def both_fakes(pairs: Iterable[str]) -> list[str]:
    """Return the ids of both fakes of each pair."""
    return [fake for pair in pairs for fake in (pair, "_".join(reversed(pair.split("_"))))]


def _rights_left(layout: Layout, place: ChangedPlace) -> ClipRights | None:
    path = layout.filelist().with_name(RIGHTS_FILE)
    if not path.is_file():
        return None
    found = read_rights(path)
    clips = {clip: digest for clip, digest in found.clips.items() if clip not in place.clips}
    records = {digest: record for digest, record in found.records.items() if digest in clips.values()}
    return ClipRights(clips, records)


def _change_list(path: Path, place: ChangedPlace) -> None:
    gone = set(both_fakes(place.pairs))
    pairs = read_filelist(path, may_be_empty=True)
    kept = [[pair.a, pair.b] for pair in pairs if pair.id not in gone]
    if len(kept) < len(pairs):
        files.write(path, (json.dumps(kept, indent=1) + "\n").encode())
