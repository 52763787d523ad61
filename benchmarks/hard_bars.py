"""What the product makes of the hard cases: whom it takes in every frame, what it tells, and the bars for both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.extraction import Extracted, Plain, untold
from benchmarks.hard_cases import OTHER, SUBJECT, Case
from benchmarks.landmarks import NOBODY, distances, is_found, whose
from services.extractor.doubts import spans

__all__ = ["HEAD", "Judged", "judge"]

Points = NDArray[np.float64]

HEAD: Final = """\
| case | engine | subject | shown | plain | taken | lost | other | nobody | off: median, 95 % | warned |
|---|---|---|---|---|---|---|---|---|---|---|"""

_OTHER_ONLY: Final = {"SEVERAL_FACES", "STILL_FACE"}


@dataclass(frozen=True)
class Judged:
    """What was made of a case. The fields are bool [n], one value for each frame, except the last three.

    Attributes:
        shown: The subject can be seen.
        plain: The largest face that plain dlib finds is somebody's.
        subject: The subject's face was taken.
        other: The other person's face was taken.
        nobody: Something was taken that is an eye distance or more from everybody's face.
        lost: Plain dlib finds a face, nothing was taken, and whoever is meant can be seen.
        off: Distance of the landmarks from the true ones of whoever was taken, eye distances, float64 [n] or NaN.
        by_identity: Whether a subject was chosen, so that face embeddings decided.
        found: The extraction.
    """

    shown: NDArray[np.bool_]
    plain: NDArray[np.bool_]
    subject: NDArray[np.bool_]
    other: NDArray[np.bool_]
    nobody: NDArray[np.bool_]
    lost: NDArray[np.bool_]
    off: Points
    by_identity: bool
    found: Extracted

    def row(self, case: str, engine: str) -> str:
        """Return the row of `HEAD`'s table."""
        off = self.off[np.isfinite(self.off)]
        median_and_most = "{:.3f}, {:.3f}".format(*np.percentile(off, (50, 95))) if len(off) else ""
        subject = "chosen" if self.by_identity else "as FF++"
        counts = [
            int(which.sum()) for which in (self.shown, self.plain, self.subject, self.lost, self.other, self.nobody)
        ]
        cells = (case, engine, subject, *counts, median_and_most, ", ".join(self.found.warned))
        return f"| {' | '.join(map(str, cells))} |"

    def failures(self) -> Iterator[str]:
        """Yield a sentence for each bar that is not reached."""
        warned = set(self.found.warned)
        if self.lost.any():
            yield f"plain dlib finds a face in {spans(self.lost)} in which nothing is found."
        if self.other.any() and self.by_identity:
            yield f"another person's face is taken in {spans(self.other)}."
        needed = {"PEOPLE_MIXED"} if self.subject.any() else _OTHER_ONLY
        if self.other.any() and not self.by_identity and not warned & needed:
            yield f"no warning tells that another person's face is taken in {spans(self.other)}."
        if self.nobody.any() and "POINTS_UNSURE" not in warned:
            yield f"no warning tells that the landmarks are nobody's in {spans(self.nobody)}."
        for label in untold(self.found.labels, self.found.warned):
            yield f"no warning tells of the frames with the label {label}."


def judge(found: Extracted, expected: Plain, case: Case, *, by_identity: bool) -> Judged:
    """Compare an extraction of a case with its truth.

    Args:
        found: The extraction.
        expected: What plain dlib finds in the case's frames.
        case: The case; its frames are not used.
        by_identity: Whether a subject was chosen.
    """
    people = case.people
    taken, plains = _whose(found.points, case), _whose(expected.points, case)
    has_face = is_found(found.points)
    off = np.full(len(taken), np.nan)
    for name, truth in people.items():
        off = np.where((taken == name) & is_found(truth), distances(found.points, truth), off)
    meant = plains == SUBJECT if by_identity else plains != NOBODY
    return Judged(
        shown=is_found(people[SUBJECT]),
        plain=plains != NOBODY,
        subject=taken == SUBJECT,
        other=taken == OTHER,
        nobody=has_face & (taken == NOBODY),
        lost=meant & ~has_face,
        off=off,
        by_identity=by_identity,
        found=found,
    )


def _whose(points: Points, case: Case) -> NDArray[np.str_]:
    """Return for each frame whose face was found; a face that is mostly hidden counts only if no other is near."""
    shown = np.array(whose(points, case.people))
    if not case.hidden:
        return shown
    return np.where(shown == NOBODY, whose(points, case.hidden), shown)
