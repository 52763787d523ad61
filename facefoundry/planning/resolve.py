"""Resolves a dataset file: which clips, in which splits and pairs. It reads lists, and no clip."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from facefoundry.dataset.gates import DEFAULT_GATES, MEASURES
from facefoundry.dataset.identities import Identities, Leak, groups, leaks, related
from facefoundry.dataset.plan import Pair, check_pairs, read_filelist
from facefoundry.dataset.rights import ClipRights
from facefoundry.dataset.splits import SPLITS
from facefoundry.errors import FieldViolation, InvalidInput
from facefoundry.planning import pairing, splitting
from facefoundry.planning.clips import ListObjects, SourceClip, find_clips
from facefoundry.planning.dataset_file import (
    DatasetFile,
    Filelist,
    GivenSplits,
    Nearest,
    NoSplits,
    RoundRobin,
    SharedSplits,
    Shuffle,
    SplitFiles,
)
from facefoundry.planning.recipe import recipe_of
from facefoundry.planning.rights import rights_of
from facefoundry.planning.trees import read_splits

__all__ = ["ResolvedDataset", "resolve", "splits_json"]

_NAMED = 10


@dataclass(frozen=True)
class ResolvedDataset:
    """The clips, splits and pairs of a dataset file.

    Attributes:
        clips: All clips of the sources that are not excluded, by id.
        pairs: The pairs, in the order of the splits.
        split_of: The split of each clip; empty without splits.
        leaks: What is in two splits, of splits that were given.
        related: Pairs of one subject, source video or content, of a filelist.
        left_over: Clips in no pair.
        unmeasured: Measures that a gate of the file names and the recipe does not measure.
    """

    clips: dict[str, SourceClip]
    pairs: list[Pair]
    split_of: dict[str, str]
    leaks: list[Leak]
    related: list[Pair]
    left_over: list[str]
    unmeasured: list[str]

    @property
    def renamed(self) -> dict[str, str]:
        """The name in the source of each clip whose id is another, by id."""
        return {clip.id: clip.name for clip in self.clips.values() if clip.id != clip.name}

    def pairs_of(self, split: str) -> list[Pair]:
        """Return the pairs of a split: those with both clips in it."""
        return [pair for pair in self.pairs if all(self.split_of.get(clip) == split for clip in pair)]

    def rights(self, today: date) -> ClipRights:
        """Return the rights to the clips; errors are as in `rights_of`."""
        return rights_of({clip.id: clip.rights for clip in self.clips.values()}, today)

    def findings(self) -> list[str]:
        """Return sentences on what a person should look at: leaks, related pairs, what has no pair, idle gates."""
        made = [f"LEAK: {leak.sentence()}" for leak in self.leaks]
        made += [f"{pair.id} pairs two clips of one subject, source video or content." for pair in self.related]
        empty = [name for name in SPLITS if name in self.split_of.values() and not self.pairs_of(name)]
        made += [f"The split {name} has clips, but no pair of two of them." for name in empty]
        halved = [pair.id for pair in self.pairs if self.split_of and not any(map(self.split_of.get, pair))]
        if halved:
            made.append(f"{len(halved)} pairs are in no split: {_listed(halved)}.")
        if self.left_over:
            count = "1 clip is" if len(self.left_over) == 1 else f"{len(self.left_over)} clips are"
            made.append(f"{count} in no pair: {_listed(self.left_over)}.")
        if self.unmeasured:
            gates = "The gate on" if len(self.unmeasured) == 1 else "The gates on"
            made.append(
                f"{gates} {', '.join(self.unmeasured)} would pass every fake, because the recipe does not measure it. "
                "Set recipe.set to {extraction.identity: true}, or remove the gate."
            )
        return made


def resolve(
    dataset: DatasetFile,
    base: Path,
    list_objects: ListObjects,
    features: Mapping[str, Sequence[float]] | None = None,
    content: Mapping[str, str] | None = None,
) -> ResolvedDataset:
    """Find the clips of a dataset, divide them into splits, and pair them.

    Args:
        dataset: The dataset.
        base: Folder of the dataset file, which its paths are relative to.
        list_objects: Lists a prefix of a bucket.
        features: Numbers that describe the face in each clip, for the strategy `nearest`.
        content: The URI of the stored clip of each clip of which it is known, by id. Clips of one URI belong together.

    Raises:
        InvalidInput: a source, a filelist or a split cannot be used, the clips cannot be divided, a split by shares
            would have no pair (SPLIT_EMPTY), the recipe is wrong, or the strategy is `nearest` and no features are
            given (NOT_CHECKED).
    """
    clips = find_clips(dataset, base, list_objects)
    stored = content or {}
    identities = {
        clip.id: (*clip.keys, f"content {stored[clip.id]}") if clip.id in stored else clip.keys
        for clip in clips.values()
    }
    chosen = dataset.pairs
    fixed = _read_pairs(base / chosen.path, clips, dataset.exclude.clips) if isinstance(chosen, Filelist) else []
    if fixed:
        paired = {clip for pair in fixed for clip in pair}
        split_of = _splits(dataset, base, {clip: identities[clip] for clip in sorted(paired)}, fixed, clips)
        pairs = fixed
    else:
        split_of = _splits(dataset, base, identities, [], clips)
        pairs = _paired(dataset, identities, split_of, features)
    paired = {clip for pair in pairs for clip in pair}
    if not pairs:
        message = f"Expected at least two clips of different people. Received {len(clips)} clips. Add clips."
        raise InvalidInput(message, reason="NO_PAIRS")
    if isinstance(dataset.splits, SharedSplits):
        _check_filled(dataset.splits, pairs, split_of)
    return ResolvedDataset(
        clips,
        sorted(pairs, key=lambda pair: _place(split_of.get(pair.a, ""))),
        split_of,
        leaks(identities, pairs, split_of),
        related(pairs, identities),
        sorted(set(clips) - paired),
        _unmeasured(dataset),
    )


def splits_json(resolved: ResolvedDataset) -> dict[str, str]:
    """Return the texts of FF++'s `train.json`, `val.json` and `test.json` by name; empty without splits."""
    if not resolved.split_of:
        return {}
    return {f"{name}.json": json.dumps([list(pair) for pair in resolved.pairs_of(name)]) + "\n" for name in SPLITS}


def _splits(
    dataset: DatasetFile,
    base: Path,
    identities: Identities,
    pairs: Sequence[Pair],
    clips: Mapping[str, SourceClip],
) -> dict[str, str]:
    chosen = dataset.splits
    match chosen:
        case SharedSplits():
            return splitting.split(identities, pairs, chosen.shares, chosen.seed)
        case SplitFiles():
            named = read_splits(base / chosen.folder)
            return {clip: split for clip, split in sorted(named.items()) if clip in clips}
        case GivenSplits():
            found = {clip.id: clip.split for clip in clips.values() if clip.split}
            if not found:
                message = "splits.kind is given, but no source gives splits. Choose shares, files or none."
                raise InvalidInput(message, reason="SPLITS", violations=[FieldViolation("splits.kind", message)])
            return found
        case NoSplits():
            return {}


def _paired(
    dataset: DatasetFile,
    identities: Identities,
    split_of: Mapping[str, str],
    features: Mapping[str, Sequence[float]] | None,
) -> list[Pair]:
    """Pair the clips of each split by the strategy; clips that the given splits leave out are in no pair."""
    group, strategy = groups(identities), dataset.pairs
    pairs: list[Pair] = []
    for split in SPLITS if split_of else ("",):
        inside = {clip: number for clip, number in group.items() if split_of.get(clip, "") == split}
        match strategy:
            case Shuffle():
                pairs += pairing.shuffle(inside, f"{strategy.seed}/{split}")
            case RoundRobin():
                pairs += pairing.round_robin(inside, strategy.partners, f"{strategy.seed}/{split}")
            case Nearest():
                if features is None:
                    message = (
                        "The strategy nearest pairs by faces that are not measured yet, or of clips that changed since "
                        "then. Run `facefoundry plan --check` on the dataset file first."
                    )
                    raise InvalidInput(message, reason="NOT_CHECKED")
                pairs += pairing.nearest(inside, features, strategy.partners)
    return pairs


def _unmeasured(dataset: DatasetFile) -> list[str]:
    """Return the measures of gates that can judge nothing. The gates of a file that names none are not counted."""
    if recipe_of(dataset).extraction.identity:
        return []
    named = dict.fromkeys(gate.measure for gate in dataset.gates if gate not in DEFAULT_GATES)
    return [measure for measure in named if MEASURES[measure].on_faces]


def _check_filled(splits: SharedSplits, pairs: Sequence[Pair], split_of: Mapping[str, str]) -> None:
    """Refuse splits of which one has no pair. Both clips of a pair are in one split."""
    filled = {split_of[pair.a] for pair in pairs}
    empty = [name for name, share in splits.shares.items() if share > 0 and name not in filled]
    if empty:
        clips = {name: sorted(clip for clip, split in split_of.items() if split == name) for name in empty}
        received = "; ".join(f"{name} with {_listed(clips[name])}" for name in empty)
        raise InvalidInput(
            f"Expected at least one pair in every split. Received splits without a pair: {received}. Their clips "
            "belong together (one subject, source video or content), or have no face. Raise the share of these splits, "
            "add clips of other people, choose another splits.seed, or set the share to 0.",
            reason="SPLIT_EMPTY",
            violations=[FieldViolation(f"splits.{name}", "has no pair") for name in empty],
        )


def _read_pairs(path: Path, clips: Mapping[str, SourceClip], excluded: Sequence[str]) -> list[Pair]:
    """Read a filelist, or those of a folder of splits, without the pairs of excluded clips."""
    files = [path / f"{name}.json" for name in SPLITS] if path.is_dir() else [path]
    rows = check_pairs((pair for file in files for pair in read_filelist(file, may_be_empty=path.is_dir())), str(path))
    pairs = [pair for pair in rows if not set(pair).intersection(excluded)]
    missing = sorted({clip for pair in pairs for clip in pair if clip not in clips})
    if missing:
        raise InvalidInput(
            f"The filelist {path} names clips that no source has: {_listed(missing)}. Add a source, or leave their "
            "pairs out.",
            reason="MISSING_SEQUENCE",
            violations=[FieldViolation("pairs.path", f"{name} is in no source") for name in missing],
        )
    return pairs


def _place(split: str) -> int:
    return SPLITS.index(split) if split in SPLITS else len(SPLITS)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
