"""Tells what differs between two datasets: levels, clips, pairs, fakes, labels and splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from facefoundry import codec
from facefoundry.dataset.labels import FrameLabel, Labels
from facefoundry.dataset.version import LABELS_KIND, DatasetIndex, pair_of
from facefoundry.dataset.version_places import IndexedDataset
from facefoundry.errors import DataLoss
from facefoundry.storage.parts import MASKS

__all__ = ["Change", "DatasetDiff", "DatasetFacts", "Difference", "compare"]

Change = Literal["added", "removed", "changed"]
What = Literal["level", "mask", "labels", "clip", "pair", "fake", "split"]


@dataclass(frozen=True)
class Difference:
    """One thing that two datasets do not have in common.

    Attributes:
        what: What it is. `level`, `mask` and `labels` are kinds of files that one dataset lacks altogether. `split` is
            a split that one lacks, or the split of a pair.
        id: Its id or name; of a split, its name or the id of the pair.
        change: `added` if only the second dataset has it, `removed` if only the first has, `changed` if both have, with
            other content.
        detail: What has changed, in words; empty if it was added or removed.
    """

    what: What
    id: str
    change: Change
    detail: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatasetFacts:
    """A dataset, in short.

    Attributes:
        place: Where it is.
        version: Its version, computed from its files.
        clips: Number of real videos.
        pairs: Number of pairs that have a fake.
        fakes: Number of fakes.
        levels: Its compression levels.
    """

    place: str
    version: str
    clips: int
    pairs: int
    fakes: int
    levels: tuple[str, ...]


@dataclass(frozen=True)
class DatasetDiff:
    """Two datasets and what differs between them; nothing if their versions are equal."""

    first: DatasetFacts
    second: DatasetFacts
    differences: tuple[Difference, ...]


def compare(first: IndexedDataset, second: IndexedDataset) -> DatasetDiff:
    """Compare two datasets.

    What belongs to a difference that is named already is not named again: the fakes of a pair that was added, and the
    files of a level that one dataset lacks.

    Raises:
        DataLoss: labels that differ are damaged.
    """
    a, b = first.index, second.index
    found: list[Difference] = []
    if a.version != b.version:
        lacking = a.kinds ^ b.kinds
        found += _one_sided(a, b)
        found += _clips(a, b, lacking)
        found += _pairs(a, b)
        found += _fakes(first, second, lacking)
        found += _splits(a, b)
    return DatasetDiff(_facts(first), _facts(second), tuple(found))


def _facts(dataset: IndexedDataset) -> DatasetFacts:
    index = dataset.index
    return DatasetFacts(
        dataset.place, index.version, len(index.clips), len(index.pairs), len(index.fakes), tuple(index.levels)
    )


def _one_sided(a: DatasetIndex, b: DatasetIndex) -> Iterator[Difference]:
    """Yield the kinds of files that only one dataset has."""
    before, after = a.kinds, b.kinds
    for kind in sorted(before ^ after):
        what: What = "mask" if kind in MASKS else "labels" if kind == LABELS_KIND else "level"
        yield Difference(what, kind, "added" if kind in after else "removed")


def _clips(a: DatasetIndex, b: DatasetIndex, lacking: set[str]) -> Iterator[Difference]:
    yield from _named("clip", a.clips, b.clips)
    for clip in sorted(a.clips.keys() & b.clips.keys()):
        if detail := _changed_files(a.clips[clip], b.clips[clip], lacking):
            yield Difference("clip", clip, "changed", tuple(detail))


def _pairs(a: DatasetIndex, b: DatasetIndex) -> Iterator[Difference]:
    yield from _named("pair", dict.fromkeys(a.pairs), dict.fromkeys(b.pairs))


def _fakes(first: IndexedDataset, second: IndexedDataset, lacking: set[str]) -> Iterator[Difference]:
    a, b = first.index, second.index
    common = set(a.pairs) & set(b.pairs)

    def of_common(fakes: Mapping[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        return {fake: files for fake, files in fakes.items() if pair_of(fake) in common}

    before, after = of_common(a.fakes), of_common(b.fakes)
    yield from _named("fake", before, after)
    for fake in sorted(before.keys() & after.keys()):
        detail = _changed_files(before[fake], after[fake], lacking | {LABELS_KIND})
        old, new = before[fake].get(LABELS_KIND), after[fake].get(LABELS_KIND)
        if LABELS_KIND not in lacking and old != new:
            detail.append(_labels_detail(first, second, fake) if old and new else _presence(LABELS_KIND, new))
        if detail:
            yield Difference("fake", fake, "changed", tuple(detail))


def _splits(a: DatasetIndex, b: DatasetIndex) -> Iterator[Difference]:
    """Yield splits that only one dataset has, and pairs whose split differs. Splits of others may share a pair."""
    yield from _named("split", a.splits, b.splits)
    if not (a.splits and b.splits):
        return

    def of(index: DatasetIndex) -> dict[str, str]:
        found: dict[str, set[str]] = {}
        for name, pairs in index.splits.items():
            for pair in pairs:
                found.setdefault(pair_of(pair.id), set()).add(name)
        return {pair: "+".join(sorted(names)) for pair, names in found.items()}

    before, after = of(a), of(b)
    yield from _named("split", before, after)
    for pair in sorted(before.keys() & after.keys()):
        if before[pair] != after[pair]:
            yield Difference("split", pair, "changed", (f"{before[pair]} -> {after[pair]}",))


def _named(what: What, before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[Difference]:
    """Yield what only one of two datasets has."""
    for name in sorted(before.keys() ^ after.keys()):
        yield Difference(what, name, "added" if name in after else "removed")


def _changed_files(before: Mapping[str, str], after: Mapping[str, str], leave: set[str]) -> list[str]:
    """Return the kinds of files of one clip or fake that differ."""
    found = []
    for kind in sorted((before.keys() | after.keys()) - leave):
        old, new = before.get(kind), after.get(kind)
        if old != new:
            found.append(kind if old and new else _presence(kind, new))
    return found


def _presence(kind: str, new: str | None) -> str:
    return f"{kind} added" if new else f"{kind} removed"


def _labels_detail(first: IndexedDataset, second: IndexedDataset, fake: str) -> str:
    """Return which rows of the labels of a fake differ, in words."""
    before, after = (_rows(dataset, fake) for dataset in (first, second))
    differ = sum(old != new for old, new in zip_longest(before, after))
    swapped = sum(
        (old.swapped if old else None) != (new.swapped if new else None) for old, new in zip_longest(before, after)
    )
    if not differ:
        return f"{LABELS_KIND}: no row, but other fields"
    total = max(len(before), len(after))
    return f"{LABELS_KIND}: {differ} of {total} rows" + (f", swapped or not in {swapped}" if swapped else "")


def _rows(dataset: IndexedDataset, fake: str) -> list[FrameLabel]:
    try:
        return codec.from_json(Labels, dataset.read_labels(fake)).frames
    except DataLoss as error:
        message = f"Cannot read the labels of {fake} in {dataset.place}: {error.message}"
        raise DataLoss(message, reason=error.reason) from error
