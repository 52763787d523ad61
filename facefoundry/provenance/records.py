"""Compares a dataset on disk with its records: the files that should be there, and the rights to its clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from facefoundry import codec
from facefoundry.checks.videos import levels_of
from facefoundry.dataset.dropped import dropped_file, read_dropped
from facefoundry.dataset.rights import RIGHTS_FILE
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.errors import DataLoss
from facefoundry.provenance.verification import Verification
from facefoundry.provenance.videos import DatasetFacts, Video
from facefoundry.storage.parts import MASKS

__all__ = ["add_missing", "add_rights"]


@dataclass(frozen=True)
class _LabelRights:
    """What the labels of a fake say of the rights to its clips; empty if they say nothing."""

    target_rights: str = ""
    source_rights: str = ""


def add_missing(facts: DatasetFacts, videos: Sequence[Video], made: Verification) -> None:
    """Add a fault for each video and for each file of labels that the records of done pairs name and that is missing.

    A level or a kind of mask of which no file is there is named as absent: a part of a dataset can be fetched alone.
    """
    layout, there = facts.layout, {video.level for video in videos}
    made.absent = [name for name in (*levels_of(layout), *MASKS) if name not in there]
    for path in sorted(_expected(facts, there)):
        made.expected += 1
        if not path.is_file():
            made.add("files", f"{path.relative_to(layout.root).as_posix()} is missing.")


def _expected(facts: DatasetFacts, there: set[str]) -> set[Path]:
    layout = facts.layout
    dropped = {fake.id for fake in read_dropped(dropped_file(layout))}
    levels, masks = [name for name in levels_of(layout) if name in there], [name for name in MASKS if name in there]
    paths = set[Path]()
    for pair in RunFolder(layout.run_folder()).load_pairs():
        if pair.state != "done":
            continue
        for fake in (f"{pair.a}_{pair.b}", f"{pair.b}_{pair.a}"):
            if fake not in dropped:
                paths.update(layout.fake_video(level, fake) for level in levels)
                paths.update(layout.mask_video(kind, fake) for kind in masks)
                paths.add(layout.labels(fake))
                paths.update(layout.real_video(level, clip) for level in levels for clip in fake.split("_"))
    return paths


def add_rights(facts: DatasetFacts, videos: Sequence[Video], made: Verification) -> None:
    """Add what the file of the rights, the run record and labels say of the same clips, and is not the same."""
    place = facts.layout.filelist().with_name(RIGHTS_FILE)
    name = place.relative_to(facts.layout.root).as_posix()
    if not place.is_file():
        made.add("rights", f"{name} is missing.")
        return
    for clip, sequence in facts.run.sequences.items():
        if sequence.rights != facts.rights.digest_of(clip):
            made.add("rights", f"{name} states other rights to the clip {clip} than the run record.")
    others = len(set(_labelled_otherwise(facts, videos, made)))
    if others:
        made.rights.append(f"The labels of {others} fakes state other rights, those of the run that made them.")


def _labelled_otherwise(facts: DatasetFacts, videos: Sequence[Video], made: Verification) -> Iterator[str]:
    """Yield the ids of fakes whose labels state other rights to their clips."""
    for fake, video in {video.id: video for video in videos if video.kind == "fake"}.items():
        path = facts.layout.labels(fake)
        if not path.is_file():
            continue
        try:
            written = codec.from_json(_LabelRights, path.read_bytes())
        except DataLoss as error:
            made.add("labels", f"{path.relative_to(facts.layout.root).as_posix()} cannot be read: {error.message}")
            continue
        for digest, clip in ((written.target_rights, video.target), (written.source_rights, video.source)):
            if digest and digest != facts.rights.digest_of(clip):
                yield fake
