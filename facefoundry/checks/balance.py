"""How a dataset is divided: subjects, sizes, skin tones, poses and quality by split and kind; near-identical clips.

The file `balance.json` in the folder of the run record contains a `BalanceReport`.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Final, Literal

from facefoundry import codec
from facefoundry.checks.duplicates import near_identical
from facefoundry.dataset.layout import Layout
from facefoundry.errors import DataLoss

__all__ = [
    "FORMAT",
    "POSES",
    "TONES",
    "BalanceReport",
    "BalanceRow",
    "Duplicate",
    "Look",
    "balance",
    "parse",
    "path_of",
    "pose_of",
    "tone_of",
]

FORMAT: Final = "facefoundry.balance/2"
TONES: Final = ((55, "very light"), (41, "light"), (28, "intermediate"), (10, "tan"), (-30, "brown"), (-91, "dark"))
"""The classes of skin tone, each with the angle (ITA, degrees) above which it begins."""
POSES: Final = ((0.6, "turned far"), (0.25, "turned"), (-1.0, "frontal"))
"""The classes of pose, each with the turn of the head above which it begins: `head_turn` of docs/quality.md."""
_MIN_SHARE = 0.05
_RATIO = 1.5
_MAX_APART, _MIN_VIDEOS = 0.2, 10  # of the shares of a class among real videos and fakes

Kind = Literal["real", "fake"]


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
    """The real videos or the fakes of a split. A fake has the length, size, skin tone and pose of its target.

    Attributes:
        split: Name of the split; `all` without splits.
        kind: `real` or `fake`.
        videos: Number of videos.
        subjects: Number of subjects; of fakes, of those whose faces they show.
        seconds: Median length.
        frame_height: Median height of the frames, pixels.
        face: Median height of the box, in heights of the frame.
        tones: Number of videos by class of skin tone.
        poses: Number of videos by class of pose; empty if the turns of heads were not measured.
        quality: Medians of the measurements of the fakes, by name; empty for real videos.
    """

    split: str
    kind: Kind
    videos: int
    subjects: int
    seconds: float
    frame_height: float
    face: float | None
    tones: dict[str, int]
    poses: dict[str, int]
    quality: dict[str, float]

    @property
    def name(self) -> str:
        """Split and kind, in words."""
        return f"{self.split} {self.kind}"


@dataclass(frozen=True)
class Duplicate:
    """Two clips of which one has at least half of the sampled faces of the other, and the share of these."""

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


def parse(data: bytes) -> BalanceReport | None:
    """Return the result that a file holds; None if it is damaged or has another format."""
    with suppress(DataLoss):
        found = codec.from_json(BalanceReport, data)
        return found if found.format == FORMAT else None
    return None


def tone_of(angle: float) -> str:
    """Return the class of an angle (ITA), degrees."""
    return next(name for least, name in TONES if angle > least)


def pose_of(turn: float) -> str:
    """Return the class of a turn of the head, 0 or more."""
    return next(name for least, name in POSES if turn > least)


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
    turns = {fake.partition("_")[0]: row["head_turn"] for fake, row in quality.items() if "head_turn" in row}
    rows = []
    for split in dict.fromkeys([*names, *split_of.values()]):
        own = [name for name in looks if split_of[name] == split]
        made = [fake for fake in fakes if split_of.get(fake.partition("_")[0]) == split]
        sides: tuple[tuple[Kind, list[str], list[str]], ...] = (
            ("real", own, own),
            ("fake", [fake.partition("_")[0] for fake in made], [fake.partition("_")[2] for fake in made]),
        )
        for kind, shown, people in sides:
            who = {subjects.get(name, f"/{name}") for name in people}
            measured = [quality.get(fake, {}) for fake in made] if kind == "fake" else []
            rows.append(_row(split, kind, [looks[name] for name in shown], len(who), measured, _turns(turns, shown)))
    found = near_identical(
        {name: look.hashes for name, look in looks.items()}, {name: look.mirrored for name, look in looks.items()}
    )
    duplicates = [Duplicate(a, b, round(share, 3), (split_of[a], split_of[b])) for a, b, share in found]
    return BalanceReport(rows, duplicates, _warnings(rows, duplicates, split_of, subjects))


def _row(
    split: str,
    kind: Kind,
    looks: Sequence[Look],
    subjects: int,
    measured: Sequence[Mapping[str, float]],
    turns: Sequence[float],
) -> BalanceRow:
    faces = [look.face for look in looks if look.face is not None]
    names = sorted({name for figures in measured for name in figures if name != "head_turn"})
    return BalanceRow(
        split=split,
        kind=kind,
        videos=len(looks),
        subjects=subjects,
        seconds=_median([look.seconds for look in looks]),
        frame_height=_median([look.height for look in looks]),
        face=_median(faces) if faces else None,
        tones=dict(Counter(tone_of(look.tone) for look in looks if look.tone is not None)),
        poses=dict(Counter(pose_of(turn) for turn in turns)),
        quality={name: _median([figures[name] for figures in measured if name in figures]) for name in names},
    )


def _turns(turns: Mapping[str, float], names: Sequence[str]) -> list[float]:
    return [turns[name] for name in names if name in turns]


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
    real = [row for row in rows if row.kind == "real"]
    for what, known, counts in (
        ("have a skin that is", [name for _, name in TONES], [row.tones for row in real]),
        ("show a head that is", [name for _, name in POSES], [row.poses for row in real]),
    ):
        total = sum((Counter(each) for each in counts), Counter[str]())
        rare = [name for name in known if total.total() and total[name] < _MIN_SHARE * total.total()]
        if rare and total.total() >= len(known):
            found.append(
                f"Of {total.total()} clips, fewer than {_MIN_SHARE:.0%} each {what} {', '.join(rare)}. A detector may "
                "fail on such faces: add clips, and report its errors by class."
            )
    for first, second in combinations(rows, 2):
        if first.kind == second.kind:
            found += _unequal(first, second)
        elif first.split == second.split:
            found += _uneven(first, second)
    return found


def _uneven(real: BalanceRow, fake: BalanceRow) -> list[str]:
    """Return sentences on classes that real videos and fakes of one split have in other shares."""
    found = []
    for known, own, made in (
        ([name for _, name in TONES], real.tones, fake.tones),
        ([name for _, name in POSES], real.poses, fake.poses),
    ):
        sizes = sum(own.values()), sum(made.values())
        if min(sizes) < _MIN_VIDEOS:
            continue
        for name in known:
            shares = own.get(name, 0) / sizes[0], made.get(name, 0) / sizes[1]
            if abs(shares[0] - shares[1]) > _MAX_APART:
                found.append(
                    f"In {real.split}, {shares[0]:.0%} of the real videos and {shares[1]:.0%} of the fakes are "
                    f"{name}. A detector can learn that instead: give each clip as many partners as the others."
                )
    return found


def _unequal(row: BalanceRow, other: BalanceRow) -> list[str]:
    """Return sentences on medians that differ much between two splits."""
    figures = {
        "length": (row.seconds, other.seconds),
        "height of the frames": (row.frame_height, other.frame_height),
        "height of the face": (row.face or 0.0, other.face or 0.0),
    }
    if row.kind == "fake":
        figures = {name: (value, other.quality.get(name, value)) for name, value in row.quality.items()}
    return [
        f"The median {name.replace('_', ' ')} is {a:.3g} in {row.split} and {b:.3g} in {other.split}. Choose another "
        f"seed of the splits. If they are given, report a detector's results by {name.replace('_', ' ')}."
        for name, (a, b) in figures.items()
        if min(a, b) > 0 and max(a, b) / min(a, b) > _RATIO
    ]


def _median(values: Sequence[float]) -> float:
    return float(statistics.median(values)) if values else 0.0
