"""The fakes of a dataset on disk, each with the video of its target and its labels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from facefoundry.dataset import identities
from facefoundry.dataset.dropped import dropped_file, read_dropped
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.plan import Pair
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.errors import InvalidInput, NotFound

__all__ = ["DEFAULT_LEVELS", "Found", "Fake", "find_fakes", "groups_of", "is_divided", "levels_of"]

DEFAULT_LEVELS = ("raw", "c23", "c40")
"""The levels that are looked for in a dataset without a run record."""
_LEVEL = re.compile(r"[A-Za-z0-9]{1,32}")
_LARGEST_SHARE = 0.2


@dataclass(frozen=True)
class Fake:
    """A fake at one level, beside the real video of its target at the same level.

    Attributes:
        id: `<target>_<source>`.
        level: Name of the level.
        video: Path of the fake.
        real: Path of the real video.
        labels: Path of the labels; None if there are none.
    """

    id: str
    level: str
    video: Path
    real: Path
    labels: Path | None

    @property
    def files(self) -> tuple[Path, ...]:
        """Its video, the real video, and its labels if there are any."""
        return (self.video, self.real, *((self.labels,) if self.labels else ()))

    @property
    def target(self) -> str:
        """Id of the sequence whose frames the fake keeps."""
        return self.id.partition("_")[0]

    @property
    def source(self) -> str:
        """Id of the sequence that gives the face."""
        return self.id.partition("_")[2]


@dataclass(frozen=True)
class Found:
    """The fakes of a dataset, and the paths of real videos that are missing."""

    fakes: list[Fake]
    missing: list[Path]


def levels_of(layout: Layout) -> list[str]:
    """Return the names of the levels of a dataset: those of its recipe, or the usual ones without a run record."""
    try:
        compression = RunFolder(layout.run_folder()).load_run().recipe.get("compression")
    except NotFound:
        return list(DEFAULT_LEVELS)
    levels = compression.get("levels") if isinstance(compression, dict) else None
    names = [level.get("name") for level in levels if isinstance(level, dict)] if isinstance(levels, list) else []
    return [name for name in names if isinstance(name, str)] or list(DEFAULT_LEVELS)


def find_fakes(layout: Layout, levels: Sequence[str]) -> Found:
    """Find all fakes of a dataset at some levels. Files of a fake that gates left out are no part of it.

    Raises:
        InvalidInput: there is none (NO_FAKES), or the name of a level has other characters than a recipe's (LEVEL).
        DataLoss: the file that names what gates left out is damaged (BAD_DOCUMENT).
    """
    dropped = {fake.id for fake in read_dropped(dropped_file(layout))}
    for level in levels:  # it becomes part of paths, and a run record can come from anyone
        if not _LEVEL.fullmatch(level):
            message = f"Expected levels of 1 to 32 letters and digits, in --levels or run.json. Received {level!r}."
            raise InvalidInput(message, reason="LEVEL")
    fakes, missing = list[Fake](), list[Path]()
    for level in levels:
        for video in sorted(layout.fake_video(level, "any").parent.glob("*_*.mp4")):
            if video.stem in dropped:
                continue
            labels = layout.labels(video.stem)
            fake = Fake(video.stem, level, video, Path(), labels if labels.is_file() else None)
            real = layout.real_video(level, fake.target)
            if real.is_file():
                fakes.append(Fake(fake.id, level, video, real, fake.labels))
            else:
                missing.append(real)
    if not fakes:
        where = layout.fake_video(levels[0] if levels else DEFAULT_LEVELS[0], "<target>_<source>")
        message = (
            f"Expected fakes such as {where} with the real videos of their targets. "
            f"Received {f'{len(missing)} fakes without one' if missing else 'none'}. Give the folder of a dataset; "
            "`facefoundry fetch` gets one from a bucket."
        )
        raise InvalidInput(message, reason="NO_FAKES")
    return Found(fakes, missing)


def groups_of(fakes: Sequence[Fake], subjects: Mapping[str, str], least: int) -> dict[str, int]:
    """Number the groups of targets that must not be divided by a cross-validation.

    Both directions of a pair, and all clips of a subject, are in one group, with all that is connected through these.
    If that leaves fewer than `least` groups, or one with more than a fifth of the targets, as where every clip has
    several partners, a group in which a clip has several partners is divided into its subjects. Pairs that share no
    clip are never divided: their directions have a model in common.

    Returns:
        The number of the group by the id of the target.
    """
    shown = {clip: _keys(subjects, clip) for fake in fakes for clip in (fake.target, fake.source)}
    found = identities.components(shown, [Pair(fake.target, fake.source) for fake in fakes])
    connected = {clip: number for number, clips in enumerate(found) for clip in clips}
    groups = {fake.target: connected[fake.target] for fake in fakes}
    sizes = Counter(groups.values())
    if len(sizes) < least or max(sizes.values()) > _LARGEST_SHARE * len(groups):
        partners = dict[str, set[str]]()
        for fake in fakes:
            partners.setdefault(fake.target, set()).add(fake.source)
            partners.setdefault(fake.source, set()).add(fake.target)
        dense = {connected[clip] for clip, others in partners.items() if len(others) > 1}
        alone = identities.groups(shown)
        groups |= {clip: len(found) + alone[clip] for clip, group in groups.items() if group in dense}
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups.values()))}
    return {target: numbers[group] for target, group in groups.items()}


def is_divided(fakes: Sequence[Fake], groups: Mapping[str, int]) -> bool:
    """Return whether the two directions of a pair are in two groups."""
    return any(groups.get(fake.source, groups[fake.target]) != groups[fake.target] for fake in fakes)


def _keys(subjects: Mapping[str, str], clip: str) -> tuple[str, ...]:
    return (f"subject {subjects[clip]}",) if clip in subjects else ()
