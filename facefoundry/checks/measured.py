"""What is measured of a fake and of the real video of its target, as it travels between processes and to the disk."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Compared", "Kept", "LabelFile", "LabelRow", "Measured", "Side"]


@dataclass(frozen=True)
class Compared:
    """What a comparison of a fake with its labels found.

    Attributes:
        frames: Number of frames that were compared; 0 if a video is not lossless.
        faults: What the labels say and the pixels do not, one sentence for each frame.
    """

    frames: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class LabelRow:
    """A row of labels: the frame's number in the target, the box, and the number of pixels outside it that differ."""

    frame: int
    box: tuple[int, int, int, int] | None = None
    changed_outside: int = 0


@dataclass(frozen=True)
class LabelFile:
    """The labels of a fake, one row for each of its frames."""

    frames: list[LabelRow]


@dataclass(frozen=True)
class Side:
    """The figures of one video.

    Attributes:
        facts: What must be equal in the fake and in the real video, by family and name.
        numbers: Figures that must not tell a fake from a real video, by family and name.
    """

    facts: dict[str, dict[str, str]]
    numbers: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Measured:
    """A fake beside the real video of its target.

    Attributes:
        fake: Figures of the fake.
        real: Figures of the real video.
        frames: Number of frames that were decoded of both.
        cpu_seconds: CPU time that it took.
        unlabelled: How far the numbers of pixels that differ outside the box or on its edge are from those in the
            labels, summed over these frames; None at a lossy level.
    """

    fake: Side
    real: Side
    frames: int
    cpu_seconds: float
    unlabelled: int | None = None


@dataclass(frozen=True)
class Kept:
    """A measurement on disk, with the sizes, times and numbers that it depends on."""

    key: list[int]
    measured: Measured
