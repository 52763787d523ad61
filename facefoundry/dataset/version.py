"""The version of a dataset: a digest of what is in it. Equal content has an equal version, wherever it lies.

It depends on the videos, masks, labels and splits alone: not on times, paths, the layout, the order of pairs, models,
or the report.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from facefoundry.dataset.layout import Layout
from facefoundry.dataset.plan import Pair
from facefoundry.storage.parts import LABELS, MASKS

__all__ = ["DatasetIndex", "LABELS_KIND", "index_of", "pair_of", "patterns", "short"]

LABELS_KIND = Path(LABELS).stem
"""The kind of the labels of a fake, beside levels and masks."""

_LEVEL, _ID = "LEVEL", "SEQUENCE"
_LEVELS = rf"(?P<kind>(?!(?:masks|models|{LABELS_KIND})\b)[A-Za-z0-9]+)"
_SEQUENCES, _FAKES = "(?P<id>[A-Za-z0-9-]+)", "(?P<id>[A-Za-z0-9-]+_[A-Za-z0-9-]+)"
_SHORT = 12


@dataclass(frozen=True)
class DatasetIndex:
    """What is in a dataset.

    Attributes:
        clips: SHA-256 of the files of each real video, by id of the clip, then by compression level.
        fakes: SHA-256 of the files of each fake, by its id, then by kind: a level, the kind of a mask, or `labels`.
        splits: The pairs of each split, by its name; empty without splits.
    """

    clips: dict[str, dict[str, str]] = field(default_factory=dict)
    fakes: dict[str, dict[str, str]] = field(default_factory=dict)
    splits: dict[str, list[Pair]] = field(default_factory=dict)

    @cached_property
    def version(self) -> str:
        """The SHA-256 of the canonical JSON of the index, 64 hex digits."""
        content = {
            "format": "facefoundry.dataset.version/1",
            "clips": self.clips,
            "fakes": self.fakes,
            "splits": {name: sorted(sorted(pair) for pair in pairs) for name, pairs in self.splits.items()},
        }
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def is_empty(self) -> bool:
        """Whether there is no video, as after a run that trained models only."""
        return not (self.clips or self.fakes)

    @property
    def pairs(self) -> list[str]:
        """The pairs that have a fake: their ids, with the two clips in alphabetical order, sorted."""
        return sorted({pair_of(fake) for fake in self.fakes})

    @property
    def levels(self) -> list[str]:
        """The compression levels that a real video or a fake has, sorted."""
        return sorted(self.kinds - {*MASKS, LABELS_KIND})

    @property
    def kinds(self) -> set[str]:
        """The kinds of files that a real video or a fake has."""
        return {kind for files in (*self.clips.values(), *self.fakes.values()) for kind in files}


def index_of(files: Iterable[tuple[str, str]], layout: Layout, splits: Mapping[str, Sequence[Pair]]) -> DatasetIndex:
    """Return the index of the files of a dataset.

    Args:
        files: Path, relative to the dataset, and SHA-256 of each file. Files of other kinds are left out.
        layout: Names the paths; its root does not matter.
        splits: The pairs of each split, by its name.
    """
    clips: dict[str, dict[str, str]] = {}
    fakes: dict[str, dict[str, str]] = {}
    known = [(re.compile(pattern), kind, is_real) for pattern, kind, is_real in patterns(layout)]
    for path, sha256 in files:
        for pattern, kind, is_real in known:
            if found := pattern.fullmatch(path):
                entry = (clips if is_real else fakes).setdefault(found["id"], {})
                entry[kind or found["kind"]] = sha256
                break
    return DatasetIndex(clips, fakes, {name: list(pairs) for name, pairs in splits.items()})


def patterns(layout: Layout) -> list[tuple[str, str, bool]]:
    """Return what the paths of videos, masks and labels look like in a layout.

    Returns:
        For each kind of file a regular expression of the path relative to the root, the kind, and whether it is a real
        video. The expression has the groups `id` and, where the kind is empty, `kind`.
    """

    def of(path: Path, ids: str) -> str:
        text = re.escape(path.relative_to(layout.root).as_posix())
        for word, group, name in ((_ID, ids, "id"), (_LEVEL, _LEVELS, "kind")):
            text = text.replace(word, group, 1).replace(word, f"(?P={name})")
        return text

    return [
        *((of(layout.mask_video(kind, _ID), _FAKES), kind, False) for kind in MASKS),
        (of(layout.labels(_ID), _FAKES), LABELS_KIND, False),
        (of(layout.fake_video(_LEVEL, _ID), _FAKES), "", False),
        (of(layout.real_video(_LEVEL, _ID), _SEQUENCES), "", True),
    ]


def pair_of(fake: str) -> str:
    """Return the id of the pair of a fake, the same for both of its fakes: its clips in alphabetical order."""
    return "_".join(sorted(fake.split("_")))


def short(version: str) -> str:
    """Return the digits of a version that people are shown."""
    return version[:_SHORT]
