"""How the clips of a run are read: at which frame rates, and whether damage is tolerated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from facefoundry.errors import InvalidInput

__all__ = ["Reading"]


@dataclass(frozen=True)
class Reading:
    """How clips are read.

    Attributes:
        folder_rate: Frames per second of folders and tars of frames.
        rates: Frames per second of single clips, by id. They override the rate that a video shows.
        tolerate_damage: Whether damaged frames are labelled and not refused.
    """

    folder_rate: Fraction = Fraction(25)
    rates: Mapping[str, Fraction] = field(default_factory=dict)
    tolerate_damage: bool = False

    def rate_of(self, clip_id: str, path: Path) -> Fraction | None:
        """Return the given frame rate of a clip; None for a video that is read at its own."""
        frames = path.is_dir() or path.suffix.lower() == ".tar"
        return self.rates.get(clip_id, self.folder_rate if frames else None)

    def check(self, clip_ids: Iterable[str]) -> None:
        """Check that each rate is that of a clip.

        Raises:
            InvalidInput: there is no clip of such an id (FPS).
        """
        unknown = sorted(set(self.rates) - set(clip_ids))
        if unknown:
            message = (
                f"--fps names {', '.join(unknown)}, but there is no such clip. Use the name of a clip without suffix."
            )
            raise InvalidInput(message, reason="FPS")
