"""The labels of a fake, as clients read them from `labels.json`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FrameLabel", "Labels"]


@dataclass(frozen=True)
class FrameLabel:
    """The label of a frame.

    Attributes:
        frame: Number of the frame in the target, from 0.
        swapped: Whether it shows the other face.
        reason: Why not, such as `NO_FACE`; None if it does.
        box: The mask's box as x, y, width and height, pixels; None if the frame is not swapped.
    """

    frame: int
    swapped: bool
    reason: str | None = None
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class Labels:
    """The labels of a fake: a row for each frame of its video, in order."""

    frames: list[FrameLabel]

    @property
    def swapped(self) -> list[int]:
        """The positions in the video of the frames that show the other face, ascending."""
        return [place for place, row in enumerate(self.frames) if row.swapped]

    @property
    def share(self) -> float:
        """Share of the frames that show the other face; 0 without frames."""
        return len(self.swapped) / len(self.frames) if self.frames else 0.0
