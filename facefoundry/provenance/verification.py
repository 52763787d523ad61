"""What a verification of a dataset found, and its table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Row", "Verification"]


@dataclass(frozen=True)
class Row:
    """A row of the table: what was verified, the state `ok`, `look` or `fails`, and what was found."""

    what: str
    state: Literal["ok", "look", "fails"]
    found: str


@dataclass
class Verification:
    """What was verified.

    Attributes:
        files: Number of videos.
        expected: Number of videos and labels that the records name, of the levels and masks that are there.
        absent: Levels and masks of which there is no file.
        signed: Number of signed videos.
        trusted: Number of videos that somebody signed who is trusted.
        development: Number of those that a development certificate signed.
        ingredients: Number of ingredients that are signed files.
        frames: Number of frames that were compared with their labels.
        fakes: Number of fakes with such frames.
        faults: What is wrong, by the kind of check: sentences that name the file.
        rights: Sentences on rights that are unstated, end soon or have ended.
    """

    files: int = 0
    expected: int = 0
    absent: list[str] = field(default_factory=list)
    signed: int = 0
    trusted: int = 0
    development: int = 0
    ingredients: int = 0
    frames: int = 0
    fakes: int = 0
    faults: dict[str, list[str]] = field(default_factory=dict)
    rights: list[str] = field(default_factory=list)

    @property
    def failed(self) -> list[str]:
        """All faults."""
        return [fault for faults in self.faults.values() for fault in faults]

    def table(self) -> list[Row]:
        """Return the rows of the table."""
        absent = f", and no {', '.join(self.absent)}" if self.absent else ""
        signatures = (
            f"{self.signed} of {self.files} videos are signed, {self.trusted - self.development} by somebody who is "
            f"trusted{f', {self.development} by a development certificate' if self.development else ''}"
        )
        is_published = self.trusted - self.development == self.files
        return [
            self._row("files", f"{self.expected} videos and labels by the records{absent}", look=bool(absent)),
            self._row("signatures", signatures, look=not is_published),
            self._row("ingredients", f"{self.ingredients} signed files in the manifests of fakes"),
            self._row("digests", f"{self.signed} videos and their labels"),
            self._row("labels", f"{self.frames} frames of {self.fakes} lossless fakes", look=not self.frames),
            self._row("rights", " ".join(self.rights) or "stated for all clips", look=bool(self.rights)),
        ]

    def add(self, kind: str, fault: str) -> None:
        """Add a fault."""
        self.faults.setdefault(kind, []).append(fault)

    def _row(self, what: str, found: str, *, look: bool = False) -> Row:
        faults = self.faults.get(what, [])
        return Row(what, "fails" if faults else "look" if look else "ok", f"{found}; {len(faults)} faults")
