"""How a dataset is divided: clips, subjects, sizes, skin tones and quality by split; and near-identical clips.

The file `balance.json` in the folder of the run record contains a `BalanceReport`.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Final

from facefoundry.checks.duplicates import near_identical
from facefoundry.dataset.layout import Layout

__all__ = ["FORMAT", "TONES", "BalanceReport", "BalanceRow", "Duplicate", "Look", "balance", "path_of", "tone_of"]

FORMAT: Final = "facefoundry.balance/1"
TONES: Final = ((55, "very light"), (41, "light"), (28, "intermediate"), (10, "tan"), (-30, "brown"), (-91, "dark"))
"""The classes of skin tone, each with the angle (ITA, degrees) above which it begins."""
_MIN_SHARE = 0.05
_RATIO = 1.5


@dataclass(frozen=True)
class Look:
    """What a real video and its faces look like.

    Attributes:
        frames: Number of frames.
        seconds: Length.
        width: Width of the frames, pixels.
        height: Height of the frames, pixels.
        face: Median height of the box, in heights of the frame; null without a face.
        tone: Median angle of the skin tone (ITA), degrees; null without a face.
        hashes: Hashes of some faces.
        mirrored: Hashes of the same faces, mirrored.
    """

    frames: int
    seconds: float
    width: int
    height: int
    face: float | None
    tone: float | None
    hashes: list[str]
    mirrored: list[str]


@dataclass(frozen=True)
class BalanceRow:
    """The clips of a split.

    Attributes:
        split: Name of the split; `all` without splits.
        clips: Number of real videos.
        fakes: Number of fakes.
        subjects: Number of subjects.
        seconds: Median length.
        frame_height: Median height of the frames, pixels.
        face: Median height of the box, in heights of the frame.
        tones: Number of clips by class of skin tone.
        quality: Medians of the measurements of its fakes, by name.
    """

    split: str
    clips: int
    fakes: int
    subjects: int
    seconds: float
    frame_height: float
    face: float | None
    tones: dict[str, int]
    quality: dict[str, float]


@dataclass(frozen=True)
class Duplicate:
    """Two clips of which at least half of the sampled faces are nearly the same pictures."""

    a: str
    b: str
    share: float
    splits: tuple[str, str]


@dataclass(frozen=True)
class BalanceReport:
    """How a dataset is divided, with sentences on what to do."""

    rows: list[BalanceRow]
    duplicates: list[Duplicate]
    warnings: list[str]
    failed: list[str] = field(default_factory=list)
    format: str = FORMAT


def path_of(layout: Layout) -> Path:
    """Return the path of the result of a dataset."""
    return layout.run_folder() / "balance.json"


def tone_of(angle: float) -> str:
    """Return the class of an angle (ITA), degrees."""
    return next(name for least, name in TONES if angle > least)


def balance(
    looks: Mapping[str, Look],
    fakes: Sequence[str],
    splits: Mapping[str, str],
    subjects: Mapping[str, str],
    quality: Mapping[str, Mapping[str, float]],
) -> BalanceReport:
    """Compare the splits of a dataset.

    Args:
        looks: What each real video looks like, by id.
        fakes: Ids of the fakes.
        splits: The split of each sequence, by id; empty without splits.
        subjects: Who is shown, by id; a sequence that is missing shows another person.
        quality: Measurements of the fakes, by id and name.
    """
    names = list(dict.fromkeys(splits.values())) or ["all"]
    split_of = {name: splits.get(name, names[0] if not splits else "none") for name in looks}
    rows = [
        _row(split, {name: look for name, look in looks.items() if split_of[name] == split}, fakes, subjects, quality)
        for split in dict.fromkeys([*names, *split_of.values()])
    ]
    found = near_identical(
        {name: look.hashes for name, look in looks.items()}, {name: look.mirrored for name, look in looks.items()}
    )
    duplicates = [Duplicate(a, b, round(share, 3), (split_of[a], split_of[b])) for a, b, share in found]
    return BalanceReport(rows, duplicates, _warnings(rows, duplicates, split_of, subjects))


def _row(
    split: str,
    looks: Mapping[str, Look],
    fakes: Sequence[str],
    subjects: Mapping[str, str],
    quality: Mapping[str, Mapping[str, float]],
) -> BalanceRow:
    own = [fake for fake in fakes if fake.partition("_")[0] in looks]
    measured = sorted({name for fake in own for name in quality.get(fake, {})})
    faces = [look.face for look in looks.values() if look.face is not None]
    return BalanceRow(
        split=split,
        clips=len(looks),
        fakes=len(own),
        subjects=len({subjects.get(name, f"/{name}") for name in looks}),
        seconds=_median([look.seconds for look in looks.values()]),
        frame_height=_median([look.height for look in looks.values()]),
        face=_median(faces) if faces else None,
        tones=dict(Counter(tone_of(look.tone) for look in looks.values() if look.tone is not None)),
        quality={
            name: _median([quality[fake][name] for fake in own if name in quality.get(fake, {})]) for name in measured
        },
    )


def _warnings(
    rows: Sequence[BalanceRow],
    duplicates: Sequence[Duplicate],
    split_of: Mapping[str, str],
    subjects: Mapping[str, str],
) -> list[str]:
    """Return sentences on what is unbalanced, and what to do."""
    found = []
    crossing = [entry for entry in duplicates if entry.splits[0] != entry.splits[1]]
    within = len(duplicates) - len(crossing)
    if crossing:
        named = ", ".join(f"{entry.a} ({entry.splits[0]}) and {entry.b} ({entry.splits[1]})" for entry in crossing[:5])
        found.append(
            f"{len(crossing)} near-identical clips are in two splits: {named}. A test on them measures nothing: give "
            "both one source_video in the list of clips, or exclude one."
        )
    if within:
        named = ", ".join(f"{entry.a} and {entry.b}" for entry in duplicates if entry not in crossing)
        found.append(f"{within} near-identical clips are in one split: {named[:200]}. They count twice: exclude one.")
    shown: dict[str, set[str]] = {}
    for name, split in split_of.items():
        if name in subjects:
            shown.setdefault(subjects[name], set()).add(split)
    leaking = [subject for subject, splits in shown.items() if len(splits) > 1]
    if leaking:
        found.append(
            f"{len(leaking)} subjects are in two splits: {', '.join(leaking[:5])}. Divide the clips by subject."
        )
    tones = Counter[str]()
    for row in rows:
        tones.update(row.tones)
    rare = [name for _, name in TONES if tones.total() and tones[name] < _MIN_SHARE * tones.total()]
    if rare and tones.total() >= len(TONES):
        found.append(
            f"Of {tones.total()} clips, fewer than {_MIN_SHARE:.0%} each are {', '.join(rare)}. A detector may fail on "
            "such faces: add clips, and report its errors by skin tone."
        )
    return found + [sentence for pair in combinations(rows, 2) for sentence in _unequal(*pair)]


def _unequal(row: BalanceRow, other: BalanceRow) -> list[str]:
    """Return sentences on medians that differ much between two splits."""
    figures = {
        "length": (row.seconds, other.seconds),
        "height of the frames": (row.frame_height, other.frame_height),
        "height of the face": (row.face or 0.0, other.face or 0.0),
        **{name: (value, other.quality.get(name, value)) for name, value in row.quality.items()},
    }
    return [
        f"The median {name.replace('_', ' ')} is {a:.3g} in {row.split} and {b:.3g} in {other.split}. Choose another "
        f"seed of the splits. If they are given, report a detector's results by {name.replace('_', ' ')}."
        for name, (a, b) in figures.items()
        if min(a, b) > 0 and max(a, b) / min(a, b) > _RATIO
    ]


def _median(values: Sequence[float]) -> float:
    return float(statistics.median(values)) if values else 0.0
