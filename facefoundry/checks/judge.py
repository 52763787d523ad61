"""Judges what was measured: which facts differ, and which figures tell fakes from real videos. It runs in a sandbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facefoundry import codec
from facefoundry.checks.classify import alone_scores, paired_scores
from facefoundry.checks.leaks import ADVICE, FACE_CAUSED, MIN_AUC, Auc, Difference, Feature, LeakRow, State
from facefoundry.checks.measured import Kept, Measured
from facefoundry.checks.statistics import Counts, alone, intervals, paired
from facefoundry.codec import JsonObject

__all__ = ["PAIRED", "judge", "rows_of"]

PAIRED = ("outside", "first and last frames")
"""Families of pixels that no swap changes, so that a fake is also compared with its own target."""
_FAMILIES = tuple(ADVICE)
_MIN_GROUPS = 2
_MAX_DIFFERENCES = 40


@dataclass
class _Family:
    """The figures of a family at one level: fakes float64 [n, d], targets float64 [m, d], and the test rows of both."""

    level: str
    name: str
    figures: list[str]
    fakes: NDArray[np.float64]
    real_values: NDArray[np.float64]
    aucs: dict[tuple[str, str], Auc] = field(default_factory=dict)

    @property
    def is_paired(self) -> bool:
        return self.name in PAIRED


def judge(files: dict[str, dict[str, str]], groups: dict[str, int]) -> Iterator[JsonObject]:
    """Yield the rows of the result, one `LeakRow` each.

    Args:
        files: Paths of documents of `Kept`, by level and id of the fake.
        groups: Number of the group of each target.
    """
    read = {
        level: {fake: codec.from_json(Kept, Path(path).read_bytes()).measured for fake, path in paths.items()}
        for level, paths in files.items()
    }
    for row in rows_of(read, groups):
        yield codec.to_values(row)


def rows_of(measured: Mapping[str, Mapping[str, Measured]], groups: Mapping[str, int]) -> list[LeakRow]:
    """Return the rows of the result.

    Args:
        measured: The figures of the fakes, by level and id.
        groups: Number of the group of each target.
    """
    families = [_family(level, name, fakes) for level, fakes in measured.items() for name in _FAMILIES]
    tested = [(family, _Design(list(measured[family.level]), groups)) for family in families if family.figures]
    tests = [
        (family, design, kind, figure)
        for family, design in tested
        if design.count >= _MIN_GROUPS
        for kind in (("alone", "beside") if family.is_paired else ("alone",))
        for figure in ("", *family.figures)
    ]
    found = intervals(design.counts(family, kind, figure) for family, design, kind, figure in tests)
    for (family, _, kind, figure), values in zip(tests, found.tolist(), strict=True):
        family.aucs[kind, figure] = Auc(*(round(value, 4) for value in values))
    rows = [_row(family, measured[family.level]) for family in families]
    return [_advised(row, rows) if row.state == "leak" else row for row in rows]


class _Design:
    """Which fake belongs to which target and group, at one level."""

    def __init__(self, fakes: Sequence[str], groups: Mapping[str, int]) -> None:
        names = [fake.partition("_")[0] for fake in fakes]
        unique = sorted(set(names))
        self.targets = np.array([unique.index(name) for name in names], np.int64)
        self.real_groups = np.array([groups[name] for name in unique], np.int64)
        self.fake_groups = self.real_groups[self.targets]
        self.count = max(groups.values()) + 1 if len(set(self.real_groups.tolist())) > 1 else 0

    def counts(self, family: _Family, kind: str, figure: str) -> Counts:
        """Return the comparisons of a test: by the classifier, or by a single figure."""
        place = family.figures.index(figure) if figure else 0
        if kind == "alone":
            fakes, real_values = family.fakes[:, place], family.real_values[:, place]
            if not figure and (family.fakes != family.real_values[self.targets]).any():  # equal figures tell nothing
                fakes, real_values = alone_scores(family.fakes, family.real_values, self.fake_groups, self.real_groups)
            return alone(fakes, real_values, self.targets, self.real_groups, self.count)
        differences = family.fakes - family.real_values[self.targets]
        scores = differences[:, place] if figure else paired_scores(differences, self.fake_groups)
        return paired(scores, self.fake_groups, self.count)


def _family(level: str, name: str, measured: Mapping[str, Measured]) -> _Family:
    """Collect the figures that all videos have."""
    sides = [side.numbers.get(name, {}) for found in measured.values() for side in (found.fake, found.real)]
    figures = [figure for figure in sides[0] if all(figure in side for side in sides)] if sides else []
    by_target = {fake.partition("_")[0]: found.real for fake, found in sorted(measured.items())}
    fakes = [[found.fake.numbers[name][figure] for figure in figures] for found in measured.values()]
    targets = [[by_target[target].numbers[name][figure] for figure in figures] for target in sorted(by_target)]
    return _Family(level, name, figures, np.array(fakes, np.float64), np.array(targets, np.float64))


def _row(family: _Family, measured: Mapping[str, Measured]) -> LeakRow:
    differing, differences = _differences(family.name, measured)
    features = [
        Feature(name, family.aucs["alone", name], family.aucs.get(("beside", name)))
        for name in family.figures
        if ("alone", name) in family.aucs
    ]
    features.sort(key=_distance, reverse=True)
    whole, beside = family.aucs.get(("alone", "")), family.aucs.get(("beside", ""))
    tested = [auc for auc in (whole, beside) if auc and auc.value > 0.5]  # below, the classifier learnt nothing
    tested += [auc for feature in features for auc in (feature.alone, feature.beside) if auc]
    sure = [auc for auc in tested if not auc.is_chance]
    strength = max((max(auc.value, 1 - auc.value) for auc in sure), default=0.5)
    state: State = "leak" if differing or strength >= MIN_AUC else "trace" if sure else "ok"
    sentence = _sentence(state, strength, len(measured), differing, differences, features)
    return LeakRow(family.level, family.name, state, sentence, whole, beside, differing, differences, features)


def _advised(row: LeakRow, rows: Sequence[LeakRow]) -> LeakRow:
    """Return a leak with what to do about it.

    Sizes and kinds of packets follow from the pictures and from how they were encoded. So the face is their cause only
    if nothing else at the level gives the fakes away.
    """
    advice = ADVICE[row.family]
    if row.family in FACE_CAUSED:
        others = [other for other in rows if other.level == row.level and other.family not in FACE_CAUSED]
        first = [other.family for other in others if other.state == "leak"]
        advice = (
            f"Mend {', '.join(first)} first and test again: that changes this too."
            if first
            else f"Nothing but the faces was found to cause it, and no encoder mends it. {advice}"
        )
    return replace(row, sentence=f"{row.sentence} {advice}")


def _differences(family: str, measured: Mapping[str, Measured]) -> tuple[int, list[Difference]]:
    """Return the number of fakes whose facts differ from their target's, and these facts."""
    counts, examples, differing = Counter[str](), dict[str, tuple[str, str]](), 0
    for found in measured.values():
        fake, real = dict(found.fake.facts.get(family, {})), dict(found.real.facts.get(family, {}))
        if family == "outside" and found.unlabelled is not None:
            fake["changed pixels that no label counts"] = str(found.unlabelled)
            real["changed pixels that no label counts"] = "0"
        unequal = [name for name in {**real, **fake} if fake.get(name) != real.get(name)]
        unequal.sort(key=lambda name: name.startswith("box"))  # whoever adds a tag changes boxes too
        differing += bool(unequal)
        for name in unequal:
            counts[name] += 1
            examples.setdefault(name, (fake.get(name, "missing"), real.get(name, "missing")))
    return differing, [
        Difference(name, count, *(text[:200] for text in examples[name]))
        for name, count in counts.most_common(_MAX_DIFFERENCES)
    ]


def _distance(feature: Feature) -> float:
    return max(abs(auc.value - 0.5) for auc in (feature.alone, feature.beside) if auc)


def _sentence(
    state: State,
    strength: float,
    fakes: int,
    differing: int,
    differences: Sequence[Difference],
    features: Sequence[Feature],
) -> str:
    """Describe what was found."""
    if state == "ok":
        return ""
    words = []
    if differing:
        named = ", ".join(f"{entry.name} ({entry.fake}, not {entry.real})" for entry in differences[:3])
        more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
        words.append(f"{differing} of {fakes} fakes differ from their target in {named}{more}.")
    if strength > 0.5:
        named = ", ".join(_named(feature) for feature in features[:2] if _distance(feature) > 0)
        words.append(f"Fakes are told by an AUC of {strength:.2f}{f': {named}' if named else ''}.")
    return " ".join(words if state == "leak" else [*words, "This is little, but sure."])


def _named(feature: Feature) -> str:
    beside = feature.beside
    if beside and abs(beside.value - 0.5) > abs(feature.alone.value - 0.5):
        share = max(beside.value, 1 - beside.value)
        return f"{feature.name}, {'larger' if beside.value > 0.5 else 'smaller'} than the target's in {share:.0%}"
    return (
        f"{feature.name}, {'larger' if feature.alone.value > 0.5 else 'smaller'} in fakes ({feature.alone.value:.2f})"
    )
