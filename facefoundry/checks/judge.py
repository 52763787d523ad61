"""Judges what was measured: which facts differ, and which figures tell fakes from real videos. It runs in a sandbox.

scikit-learn is loaded when classifiers are needed, and so after the sandbox has forked: it loads pandas where that is
installed, pandas loads pyarrow, and pyarrow starts a thread, beside which a sandbox does not fork.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facefoundry import codec
from facefoundry.checks.leaks import ADVICE, FACE_CAUSED, MIN_AUC, MIN_GROUPS, Auc, Difference, Feature, LeakRow, State
from facefoundry.checks.measured import Kept, Measured
from facefoundry.checks.statistics import Wins, alone, intervals, paired
from facefoundry.codec import JsonObject

__all__ = ["PAIRED", "judge", "rows_of"]

PAIRED = ("outside", "first and last frames")
"""Families of pixels that no swap changes, so that a fake is also compared with its own target."""
_FAMILIES = tuple(ADVICE)
_WITH_FIGURES = ("length", "rate", "packets", "key frames", *PAIRED)
_MIN_SHARE = 0.9
"""A figure that fewer of the fakes have is not judged; the other fakes are left out."""
_MAX_DIFFERENCES = 40


@dataclass
class _Family:
    """The figures of a family at one level: fakes float64 [n, d], targets float64 [m, d], and the test rows of both.

    `ids` has the n fakes that have all figures.
    """

    level: str
    name: str
    ids: list[str]
    figures: list[str]
    fakes: NDArray[np.float64]
    real_values: NDArray[np.float64]
    aucs: dict[tuple[str, str], Auc] = field(default_factory=dict)
    why_untested: str = ""

    @property
    def is_paired(self) -> bool:
        return self.name in PAIRED


def judge(files: dict[str, dict[str, str]], groups: dict[str, int], divided: bool) -> Iterator[JsonObject]:
    """Yield the rows of the result, one `LeakRow` each.

    Args:
        files: Paths of documents of `Kept`, by level and id of the fake.
        groups: Number of the group of each target.
        divided: Whether the two directions of a pair are in two groups.
    """
    read = {
        level: {fake: codec.from_json(Kept, Path(path).read_bytes()).measured for fake, path in paths.items()}
        for level, paths in files.items()
    }
    for row in rows_of(read, groups, divided=divided):
        yield codec.to_values(row)


def rows_of(
    measured: Mapping[str, Mapping[str, Measured]], groups: Mapping[str, int], *, divided: bool = False
) -> list[LeakRow]:
    """Return the rows of the result.

    Args:
        measured: The figures of the fakes, by level and id.
        groups: Number of the group of each target.
        divided: Whether the two directions of a pair are in two groups.
    """
    families = [_family(level, name, fakes) for level, fakes in measured.items() for name in _FAMILIES]
    designs = [_Design(family.ids, groups) for family in families]
    for family, design in zip(families, designs, strict=True):
        if family.name in _WITH_FIGURES:
            family.why_untested = _why_untested(family, design)
    tests = [
        (family, design, kind, figure)
        for family, design in zip(families, designs, strict=True)
        if family.figures and not family.why_untested
        for kind in (("alone", "beside") if family.is_paired else ("alone",))
        for figure in ("", *family.figures)
    ]
    found = intervals((design.counts(family, kind, figure) for family, design, kind, figure in tests), divided=divided)
    for (family, design, kind, figure), values in zip(tests, found.values.tolist(), strict=True):
        family.aucs[kind, figure] = Auc(*(round(value, 4) for value in values))
        if not found.enough:
            family.why_untested = (
                f"Too few people to judge: with {design.judged} groups, none of {len(tests)} AUCs can exclude chance. "
                f"At least {found.needed} groups are needed. Test fewer levels, or pairs of more people."
            )
    rows = [_row(family, measured[family.level]) for family in families]
    return [_advised(row, rows) if row.state == "leak" else row for row in rows]


def _why_untested(family: _Family, design: _Design) -> str:
    if not family.figures:
        return "No fake has figures to judge: they need videos of one size and 3 decoded frames. Look at a fake."
    if design.judged < MIN_GROUPS:
        return f"Too few pairs to judge: expected {MIN_GROUPS} groups, received {design.judged}. Test more pairs."
    return ""


class _Design:
    """Which fake belongs to which target and group, at one level."""

    def __init__(self, fakes: Sequence[str], groups: Mapping[str, int]) -> None:
        names = [fake.partition("_")[0] for fake in fakes]
        unique = sorted(set(names))
        self.targets = np.array([unique.index(name) for name in names], np.int64)
        self.real_groups = np.array([groups[name] for name in unique], np.int64)
        self.fake_groups = self.real_groups[self.targets]
        self.count = max(groups.values(), default=-1) + 1
        self.judged = len(set(self.real_groups.tolist()))

    def counts(self, family: _Family, kind: str, figure: str) -> Wins:
        """Return the comparisons of a test: by the classifier, or by a single figure."""
        from facefoundry.checks.classify import alone_scores, paired_scores

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
    """Collect the figures that most fakes and their targets have, without the fakes that lack one."""
    shared = {fake: _shared(name, found) for fake, found in measured.items()}
    having = Counter(figure for figures in shared.values() for figure in figures)
    figures = [
        figure for figure, count in having.items() if count >= _MIN_SHARE * len([*filter(None, shared.values())])
    ]
    ids = [fake for fake, known in shared.items() if figures and set(figures) <= set(known)]
    by_target = {fake.partition("_")[0]: measured[fake].real for fake in sorted(ids)}
    fakes = [[measured[fake].fake.numbers[name][figure] for figure in figures] for fake in ids]
    targets = [[by_target[target].numbers[name][figure] for figure in figures] for target in sorted(by_target)]
    return _Family(level, name, ids, figures, np.array(fakes, np.float64), np.array(targets, np.float64))


def _shared(family: str, found: Measured) -> list[str]:
    """Return the figures that a fake and its target both have."""
    real = found.real.numbers.get(family, {})
    return [figure for figure in found.fake.numbers.get(family, {}) if figure in real]


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
    quiet: State = "untested" if family.why_untested else "ok"
    state: State = "leak" if differing or strength >= MIN_AUC else "trace" if sure else quiet
    sentence = _sentence(state, strength, len(measured), differing, differences, features)
    left_out = len(measured) - len(family.ids) if family.figures else 0
    words = [sentence, family.why_untested]
    words += [f"{left_out} of {len(measured)} fakes have no figures and were left out."] if left_out else []
    text = " ".join(filter(None, words))
    return LeakRow(family.level, family.name, state, text, whole, beside, differing, differences, features, left_out)


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
    if state in ("ok", "untested"):
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
