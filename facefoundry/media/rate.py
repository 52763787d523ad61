"""Finds the frame rate of a clip: the rate that its container states, compared with its time stamps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from facefoundry.media.source import DEFAULT_FRAME_RATE, Basis

__all__ = ["Rate", "rate_of"]

# Frames are at most this many seconds out of order. A larger step back begins another recording in the same file.
_REORDERING: Final = 2
# An interval longer than this many usual ones is a gap: frames were lost or left out there.
_GAP: Final = 1.5
# The smallest share of intervals without a gap in a clip of constant rate.
_STEADY: Final = 0.9
# Rates of cameras, in the order in which they are preferred where jitter leaves a choice.
_USUAL: Final = (
    *map(Fraction, (25, 30, 24, 50, 60, 15, 20, 10, 12, 5, 120, 100, 240, 90, 48)),
    *(Fraction(rate * 1000, 1001) for rate in (30, 24, 60, 120, 240, 48)),
)
_MAX_DENOMINATOR: Final = 1001


@dataclass(frozen=True)
class Rate:
    """A frame rate and how it was found.

    Attributes:
        value: Frames per second.
        basis: How it was found.
        stated: Frames per second that the container states; None if it states none.
    """

    value: Fraction
    basis: Basis
    stated: Fraction | None = None


def rate_of(stamps: Sequence[int], time_base: Fraction, declared: Sequence[Fraction]) -> Rate:
    """Return the frame rate of a clip.

    A stated rate is taken if the time stamps agree with it, gaps left out. If they do not, the rate is measured: a
    usual rate of cameras if one agrees, otherwise the average. Uneven time stamps give the average.

    Args:
        stamps: Time of each frame in units of `time_base`, in the order of the file; empty if the file has none.
        time_base: The unit of the time stamps, seconds.
        declared: Frames per second that the container states, the most trusted first; a container may state several.
    """
    intervals = _intervals(stamps, time_base)
    stated = declared[0] if declared else None
    if not intervals.size:
        return Rate(stated, "stated", stated) if stated else Rate(Fraction(*DEFAULT_FRAME_RATE), "assumed")
    regular = intervals[intervals <= _GAP * np.median(intervals)]
    length = int(regular.sum()) * time_base
    jitter = _jitter(regular) * time_base
    average = _simple(len(regular) / length)
    if regular.size >= _STEADY * intervals.size and jitter * average <= 1:
        slack = 2 * jitter + time_base
        usual_first = sorted(declared, key=lambda rate: rate not in _USUAL)
        agreeing = [rate for rate in (*usual_first, *_USUAL) if abs(regular.size / rate - length) <= slack]
        if agreeing and agreeing[0] in declared:
            return Rate(agreeing[0], "stated", agreeing[0])
        if agreeing:
            return Rate(agreeing[0], "measured", stated)
        return Rate(average, "measured", stated)
    whole = int(intervals.sum()) * time_base
    average = _simple(intervals.size / whole)
    # The container knows how long the last frame is shown, so its average is the better one.
    last = int(intervals.max()) * time_base
    if stated and abs((intervals.size + 1) / stated - whole - 1 / average) <= last:
        average = stated
    return Rate(average, "variable", stated)


def _intervals(stamps: Sequence[int], time_base: Fraction) -> NDArray[np.int64]:
    """Return the time from each frame to the next shown one, in units of the time base, without those that are 0."""
    times = np.asarray(stamps, np.int64)
    restarts = np.flatnonzero(np.diff(times) < -float(_REORDERING / time_base)) + 1
    found = np.concatenate([np.diff(np.sort(run)) for run in np.split(times, restarts)])
    return np.asarray(found[found > 0], np.int64)


def _simple(rate: Fraction) -> Fraction:
    """Return a rate with a small denominator; it is above 0."""
    return max(rate.limit_denominator(_MAX_DENOMINATOR), Fraction(1, _MAX_DENOMINATOR))


def _jitter(intervals: NDArray[np.int64]) -> Fraction:
    """Return how far the frames are from evenly spaced ones at most, in units of the time base."""
    count, total = len(intervals), int(intervals.sum())
    ends = np.cumsum(intervals)
    even = np.arange(1, count + 1) * (total / count)
    return Fraction(float(np.abs(ends - even).max(initial=0))).limit_denominator(1000)
