"""The result of the leak test: which family of figures tells fakes from real videos, by how much, and what to do.

The file `leaks.json` in the folder of the run record contains a `LeakReport`. The report page shows it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Final, Literal

from facefoundry import __version__, codec
from facefoundry.dataset.layout import Layout
from facefoundry.errors import DataLoss

__all__ = [
    "ADVICE",
    "FACE_CAUSED",
    "FORMAT",
    "MIN_AUC",
    "MIN_GROUPS",
    "Auc",
    "Difference",
    "Feature",
    "LeakReport",
    "LeakRow",
    "State",
    "parse",
    "path_of",
    "read",
]

FORMAT: Final = "facefoundry.leaks/1"
MIN_AUC: Final = 0.55
"""An AUC below this is a trace and no leak, however sure it is."""
MIN_GROUPS: Final = 10
"""With fewer groups of connected pairs, these are divided into subjects; with fewer still, no AUC is judged."""

State = Literal["ok", "untested", "trace", "leak"]

ADVICE: Final = {
    "container": "Write fakes and real videos with one program, and copy both again if one was changed afterwards.",
    "encoder": "Encode fakes and real videos again with one build and one set of options, from lossless files.",
    "length": "Cut the real videos to the frames of their fakes, or make the fakes again without `conversion.discard`.",
    "timing": "Encode fakes and real videos again with one frame rate and one time base.",
    "rate": "The new faces are smoother or rougher than real ones: train longer, and show the detector no sizes.",
    "packets": "The new faces are smoother or rougher than real ones: train longer, and show the detector no packets.",
    "key frames": "The new faces flicker or stand still: train longer, and show the detector no kinds of frames.",
    "outside": "Make fakes and real videos from the same decoded frames, and encode both once.",
    "first and last frames": "Look at the ends of some fakes beside their targets, and cut both alike.",
}
"""What to do about a leak, by family."""

FACE_CAUSED: Final = ("rate", "packets", "key frames")
"""Families that the swapped face itself changes, even if all else is equal."""


@dataclass(frozen=True)
class Auc:
    """An area under the curve with its interval; 0.5 is chance, and 1 tells every fake.

    Attributes:
        value: The AUC.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    value: float
    low: float
    high: float

    @property
    def is_chance(self) -> bool:
        """Whether the interval contains 0.5."""
        return self.low <= 0.5 <= self.high

    def __str__(self) -> str:
        """Return the AUC with its interval in brackets."""
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class Feature:
    """A single figure.

    Attributes:
        name: Its name.
        alone: AUC of the figure of one video; below 0.5 it is smaller in fakes.
        beside: Share of the pairs in which it is larger in the fake than in its target; null where this is not tested.
    """

    name: str
    alone: Auc
    beside: Auc | None = None


@dataclass(frozen=True)
class Difference:
    """A fact that must be equal in a fake and in its target, but is not.

    Attributes:
        name: Its name.
        fakes: Number of fakes in which it differs.
        fake: What one of them has.
        real: What its target has.
    """

    name: str
    fakes: int
    fake: str
    real: str


@dataclass(frozen=True)
class LeakRow:
    """A family of figures at one level.

    Attributes:
        level: Name of the level.
        family: Name of the family.
        state: `leak`, `trace` if the AUC is not chance but below 0.55, `untested` if no AUC could be judged, or `ok`.
        sentence: What was found and what to do.
        alone: AUC of a classifier that sees one video; null for families without figures.
        beside: Share of the pairs in which a classifier that sees a fake beside its target tells which is the fake;
            null where the swapped face itself changes the figures.
        differing: Number of fakes that differ from their target in a fact that must be equal.
        differences: These facts, those of most fakes first.
        features: The figures of the family, those farthest from chance first.
        left_out: Number of fakes that were not judged, because they lack figures.
    """

    level: str
    family: str
    state: State
    sentence: str
    alone: Auc | None = None
    beside: Auc | None = None
    differing: int = 0
    differences: list[Difference] = field(default_factory=list)
    features: list[Feature] = field(default_factory=list)
    left_out: int = 0


@dataclass(frozen=True)
class LeakReport:
    """What the leak test of a dataset found.

    Attributes:
        fakes: Number of fakes that were measured.
        groups: Number of groups that no fold of the cross-validation divides.
        by_pair: Whether a group holds both directions of its pairs; otherwise a group is one subject.
        frames: Number of frames at the start of each video that were decoded.
        rows: The families at each level.
        failed: Why fakes could not be measured.
        cpu_seconds: CPU time to measure one fake beside its target at all levels, and to judge it; the mean.
        created: When this was found, UTC, ISO 8601.
        versions: Versions of the software, by name.
        format: Format of this document.
    """

    fakes: int
    groups: int
    by_pair: bool
    frames: int
    rows: list[LeakRow]
    failed: list[str] = field(default_factory=list)
    cpu_seconds: float = 0.0
    created: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))
    versions: dict[str, str] = field(default_factory=lambda: {"facefoundry": __version__})
    format: str = FORMAT

    @property
    def leaks(self) -> list[LeakRow]:
        """The rows that are leaks."""
        return [row for row in self.rows if row.state == "leak"]

    @property
    def levels(self) -> list[str]:
        """The levels that were tested."""
        return list(dict.fromkeys(row.level for row in self.rows))

    @property
    def untested(self) -> list[LeakRow]:
        """The rows whose figures could not be judged."""
        return [row for row in self.rows if row.state == "untested"]

    def is_older(self, run_began: str, run_seconds: float) -> bool:
        """Return whether a run worked on the dataset after this was found, or its times cannot be read.

        Args:
            run_began: When the run began, ISO 8601.
            run_seconds: Duration of the run until now.
        """
        try:
            times = [datetime.fromisoformat(text) for text in (self.created, run_began)]
            return times[0] < times[1] + timedelta(seconds=int(run_seconds))
        except (ValueError, OverflowError, TypeError):
            return True

    def hours(self, pairs: int, cores: int) -> float:
        """Return how long the test of a dataset with that many pairs like these takes."""
        return 2 * pairs * self.cpu_seconds / cores / 3600


def path_of(layout: Layout) -> Path:
    """Return the path of the result of a dataset."""
    return layout.run_folder() / "leaks.json"


def read(layout: Layout) -> LeakReport | None:
    """Read the result of a dataset; None if there is none, or it has another format."""
    with suppress(OSError):
        return parse(path_of(layout).read_bytes())
    return None


def parse(data: bytes) -> LeakReport | None:
    """Return the result that a file holds; None if it is damaged or has another format."""
    with suppress(DataLoss):
        found = codec.from_json(LeakReport, data)
        return found if found.format == FORMAT else None
    return None
