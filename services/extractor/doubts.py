"""What is in doubt about the subject and the faces of an extraction, in sentences for the person who asked for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from facefoundry.faces.alignments import NO_FACE, NOT_SEARCHED, OTHER_PERSON, Alignments
from facefoundry.storage.info import ExtractionWarning
from services.extractor.glimpse import differ, glimpse
from services.extractor.person import DOUBT, Embedding
from services.extractor.tracking import Frame

__all__ = ["PeopleSeen", "several_faces", "spans", "still_face", "warnings"]

# Frames from one comparison to the next: where the face has changed, while there are several faces, and after a cut or
# a loss. A comparison takes as long as six frames.
_COMPARE_EVERY: Final = 240
_COMPARE_CROWD: Final = 12
_SOON: Final = 4
# Frames after which a face that has changed at once, as in a fast turn, is itself again, and frames in which such
# changes are not compared after one was harmless.
_SETTLED: Final = 3
_CALM: Final = 96
# Embeddings that are farther apart are of two persons; nearer ones but this far are another look of the same.
_OTHER_PERSON: Final = 0.6
_NEW_LOOK: Final = 0.3
# Mean differences of pictures, grey levels: a still picture stays below the first, a moving face above the second.
_STILL: Final = 1.0
_MOVES: Final = 2.0
# Distances between the eyes by which two predictions of the landmarks may be apart.
_MAX_SPREAD: Final = 0.15
_MAX_SPANS: Final = 5

Embed = Callable[[Frame, NDArray[np.float32]], Embedding]


@dataclass(frozen=True)
class _Compared:
    frame: int
    is_other: bool


@dataclass(frozen=True)
class _Jump:
    """A frame in which the picture of the face changes at once, and the picture before."""

    frame: int
    before: NDArray[np.float32]


class PeopleSeen:
    """Compares faces that were chosen by nearness with the first one, where they may be another person's.

    These are frames after the picture of the face changed at once and stayed so, frames with several faces, frames
    after a cut or a loss, and every 240 frames one whose picture differs from the last one that was compared. Results
    depend on the frames and their rows alone, so an extraction that is resumed has the same.

    Args:
        embed: Embeds the face with given landmarks, float32 [68, 2].
        detect_every: Largest number of frames from one detection to the next.
    """

    def __init__(self, embed: Embed, detect_every: int) -> None:
        self._embed, self._detect_every = embed, detect_every
        self._looks: list[Embedding] = []
        self._compared: list[_Compared] = []
        self._first: tuple[Frame, NDArray[np.float32]] | None = None
        self._newest: tuple[Frame, NDArray[np.float32]] | None = None
        self._searched = -detect_every
        self._pending = self._crowded = False
        self._jump: _Jump | None = None
        self._calm = 0
        self._picture: NDArray[np.float32] | None = None
        self._last: NDArray[np.float32] | None = None

    def see(
        self, index: int, frame: Frame, face: tuple[NDArray[np.float32], NDArray[np.float64]] | None, seen: int
    ) -> None:
        """Take the next frame.

        Args:
            index: Number of the frame in the clip.
            frame: uint8 [h, w, 3], BGR.
            face: Landmarks float32 [68, 2] and matrix float64 [2, 3] of the face that was taken; None if there is none.
            seen: Number of faces that the detector found; `NOT_SEARCHED` if it did not run.
        """
        if seen != NOT_SEARCHED:
            # The detector runs before it is due at a cut, and where the face is lost.
            self._pending |= index - self._searched < self._detect_every
            self._crowded = seen > 1
            self._searched = index
        if face is None:
            self._pending, self._picture = True, None
            return
        landmarks, matrix = face
        before, self._picture = self._picture, glimpse(frame, matrix)
        self._newest = frame, landmarks
        if self._last is None:
            # The first face is embedded when there is something to compare it with.
            self._first, self._last, self._pending = self._newest, self._picture, False
            self._compared.append(_Compared(index, is_other=False))
            return
        if self._jump is None and before is not None and differ(before, self._picture):
            self._jump = _Jump(index, before)
        if self._is_due(index):
            self._compare(index)

    def _is_due(self, index: int) -> bool:
        """Return whether the newest face must be compared; forget a jump after which all is as before."""
        age = index - self._compared[-1].frame
        if (self._pending and age >= _SOON) or (self._crowded and age >= _COMPARE_CROWD):
            return True
        if self._jump is not None and index >= max(self._jump.frame + _SETTLED, self._calm):
            if differ(self._jump.before, self._picture):
                return True
            self._jump = None
        return age >= _COMPARE_EVERY and differ(self._last, self._picture)

    def _compare(self, index: int) -> None:
        """Compare the newest face with the first one, for the frames from the jump on or from this one on."""
        is_other = self._newest is not None and self._is_other(self._embed(*self._newest))
        if self._jump is not None and not is_other:
            self._calm = index + _CALM
        frame, last = index if self._jump is None else self._jump.frame, self._compared[-1]
        if last.is_other and not is_other and frame - last.frame <= _SOON:
            # A face that is itself again so soon was turned or made a grimace.
            self._compared[-1] = _Compared(last.frame, is_other=False)
        self._compared.append(_Compared(frame, is_other))
        self._last, self._pending, self._jump = self._picture, False, None

    def _is_other(self, embedding: Embedding) -> bool:
        """Return whether an embedding is another person's than the first; if not, remember a new look."""
        if self._first is not None:
            self._looks, self._first = [self._embed(*self._first)], None
        distance = min(float(np.linalg.norm(embedding - look)) for look in self._looks)
        if _NEW_LOOK < distance <= _OTHER_PERSON:
            self._looks.append(embedding)
        return distance > _OTHER_PERSON

    def others(self, found: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return for each frame, bool [n], whether its face seems to be another person's than the first.

        Args:
            found: Whether each frame has a face, bool [n].
        """
        if self._jump is not None and differ(self._jump.before, self._picture):
            self._compare(len(found))
        is_other = np.zeros(len(found), dtype=bool)
        ends = [compared.frame for compared in self._compared[1:]] + [len(found)]
        for compared, end in zip(self._compared, ends, strict=True):
            is_other[compared.frame : end] = compared.is_other
        return is_other & found


def warnings(
    whole: Alignments, *, warn_share: float, by_identity: bool, swapped: NDArray[np.bool_]
) -> list[ExtractionWarning]:
    """Return what is in doubt about an extraction.

    Args:
        whole: Its alignments.
        warn_share: Share of frames with the subject's face below which there is a warning.
        by_identity: Whether embeddings decided who the subject is.
        swapped: For each frame, bool [n], whether another person's face was taken.
    """
    found, made = whole.found, list[ExtractionWarning]()
    choose = "Choose who is meant with --subject ID=WHO: largest, moving, centre, a point or a picture."
    if swapped.any():
        made.append(
            ExtractionWarning(
                reason="PEOPLE_MIXED",
                message=f"{spans(swapped)} seem to show another person than the first face, and count as the "
                f"subject's, as in FF++. {choose}",
            )
        )
    if (whole.reasons == OTHER_PERSON).any():
        others = spans(whole.reasons == OTHER_PERSON)
        made.append(
            ExtractionWarning(
                reason="OTHER_PEOPLE", message=f"{others} show other people only, and are left as they are."
            )
        )
    if whole.seen is not None:
        made += several_faces(whole.seen[whole.seen != NOT_SEARCHED].tolist())
    if whole.motions is not None and still_face(whole.motions):
        made.append(
            ExtractionWarning(
                reason="STILL_FACE",
                message=f"The face that is followed hardly moves, as a picture, while another one does. {choose}",
            )
        )
    if by_identity and (unsure := _unsure(whole)).any():
        made.append(
            ExtractionWarning(reason="PERSON_UNSURE", message=f"{spans(unsure)} may show another person. {choose}")
        )
    if whole.share < warn_share:
        made.append(
            ExtractionWarning(
                reason="FEW_FACES",
                message=f"Only {int(found.sum())} of {len(found)} frames show the subject's face; the others stay "
                "as they are. If more of them show it, try another engine or a clearer clip.",
            )
        )
    elif (whole.reasons == NO_FACE).any():
        made.append(
            ExtractionWarning(reason="GAPS", message=f"{spans(whole.reasons == NO_FACE)} have no face that was found.")
        )
    if whole.spreads is not None and (unsure := found & (whole.spreads > _MAX_SPREAD)).any():
        made.append(
            ExtractionWarning(
                reason="POINTS_UNSURE", message=f"{spans(unsure)} have landmarks that may be off: look at these faces."
            )
        )
    return made


def _unsure(whole: Alignments) -> NDArray[np.bool_]:
    """Return for each frame, bool [n], whether its embedding, or the last one before it, is far from the others."""
    if whole.embeddings is None or not (embedded := whole.found & whole.embeddings.any(axis=1)).any():
        return np.zeros(len(whole), dtype=bool)
    apart = np.linalg.norm(whole.embeddings - np.median(whole.embeddings[embedded], axis=0), axis=1)
    last = np.maximum.accumulate(np.where(embedded, np.arange(len(whole)), 0))
    return np.asarray(whole.found & embedded[last] & (apart[last] > DOUBT))


def several_faces(counts: Sequence[int]) -> list[ExtractionWarning]:
    """Return a warning if frames show several faces.

    Args:
        counts: Number of faces in each frame that was searched.
    """
    several = [count for count in counts if count > 1]
    if not several:
        return []
    return [
        ExtractionWarning(
            reason="SEVERAL_FACES",
            message=f"{len(several)} of {len(counts)} frames that were searched show several faces, at most "
            f"{max(several)}.",
        )
    ]


def still_face(motions: NDArray[np.float32]) -> bool:
    """Return whether the first face is still while the second moves, given their motions, float32 [n, 2], or NaN."""
    measured = motions[np.isfinite(motions).all(axis=1)]
    if not len(measured):
        return False
    subject, other = np.median(measured, axis=0)
    return bool(subject < _STILL and other > _MOVES)


def spans(which: NDArray[np.bool_]) -> str:
    """Name the frames, bool [n], as "30 frames (60 to 89)"; of many spans the first five."""
    numbers = np.flatnonzero(which)
    slices = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    named = [f"{span[0]} to {span[-1]}" if len(span) > 1 else str(span[0]) for span in slices if len(span)]
    more = ", …" if len(named) > _MAX_SPANS else ""
    return f"{len(numbers)} {'frame' if len(numbers) == 1 else 'frames'} ({', '.join(named[:_MAX_SPANS])}{more})"
