"""Areas under the curve (AUC) of scores of fakes and real videos, with intervals that hold for all of them together.

The critical value comes from sign flips: without a leak, a fake and its target could as well change places, which
turns the sign of what the two add to every AUC. Groups are flipped as a whole, because their videos are alike. The
largest deviation among all rows decides (max-t), so of 100 datasets without a leak about 5 have a row that excludes
0.5, however many rows there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["DRAWS", "Intervals", "Wins", "alone", "intervals", "paired"]

DRAWS = 2000
_CONFIDENCE = 0.95
# A deviation that equals the critical value excludes nothing, whatever the rounding.
_ROUNDING = 1 + 1e-9


@dataclass(frozen=True)
class Wins:
    """Comparisons of fakes with real videos, by group.

    Attributes:
        surplus: float64 [g], what each group adds to the comparisons that fakes win above one half. It changes its sign
            if the fakes and the targets of the group change places.
        total: Number of comparisons.
    """

    surplus: NDArray[np.float64]
    total: int


@dataclass(frozen=True)
class Intervals:
    """The AUCs of some rows.

    Attributes:
        values: float64 [n, 3]: AUC, lower and upper end for each row.
        enough: Whether there are groups enough for any AUC to exclude 0.5.
        needed: Number of groups below which none of these rows can.
    """

    values: NDArray[np.float64]
    enough: bool
    needed: int = 0


def alone(
    fakes: NDArray[np.float64],
    real_scores: NDArray[np.float64],
    targets: NDArray[np.int64],
    groups: NDArray[np.int64],
    count: int,
) -> Wins:
    """Compare the score of each fake with those of the targets of all fakes of other targets.

    Its own target is left out: they share their content, so that the smallest difference would decide. The sum of all
    comparisons is the sum of the differences between the ranks of each fake and its target among all videos.

    Args:
        fakes: float64 [n], scores of the fakes.
        real_scores: float64 [m], scores of the real videos, by the number of the target.
        targets: int64 [n], number of each fake's target.
        groups: int64 [m], group of each target, from 0.
        count: Number of groups.
    """
    own, counts = real_scores[targets], np.bincount(targets)
    ranks = _ranks(fakes, own) - 2 * np.sign(fakes - own)  # without its own target
    for target in np.flatnonzero(counts > 1):  # nor those of the other fakes of that target
        same = targets == target
        ranks[same] -= _ranks(fakes[same], own[same]) - 2 * np.sign(fakes[same] - own[same])
    total = len(targets) ** 2 - int(np.square(counts).sum())
    return Wins(_sums(groups[targets], ranks / 4, count), total)


def _ranks(fakes: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return by how many videos more each fake exceeds than its target does, less those that exceed them."""
    ordered = np.sort(np.concatenate([fakes, own]))
    ends = [
        np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right") for scores in (fakes, own)
    ]
    return np.asarray(ends[0] - ends[1], np.float64)


def _sums(groups: NDArray[np.int64], values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    return np.asarray(np.bincount(groups, values, count), np.float64)


def paired(differences: NDArray[np.float64], groups: NDArray[np.int64], count: int) -> Wins:
    """Count in how many pairs the fake has the higher score than its own target.

    Args:
        differences: float64 [n], score of the fake minus that of its target.
        groups: int64 [n], group of each pair.
        count: Number of groups.
    """
    return Wins(_sums(groups, np.sign(differences) / 2, count), len(differences))


def intervals(rows: Iterable[Wins], *, divided: bool = False, seed: int = 0, draws: int = DRAWS) -> Intervals:
    """Return the AUC of each row with its interval; without a leak, all contain 0.5 with a probability of about 0.95.

    Args:
        rows: Comparisons, all with the same groups.
        divided: Whether the two directions of a pair are in two groups. What they share, such as their model, can then
            double the variance, and the intervals are wider for it.
        seed: Seed of the sign flips.
        draws: Number of flips.
    """
    kept = list(rows)
    if not kept:
        return Intervals(np.zeros((0, 3)), enough=False)
    surplus, totals = np.array([row.surplus for row in kept]), np.array([max(1, row.total) for row in kept])
    errors = np.sqrt(np.square(surplus).sum(axis=1))
    flips = np.random.default_rng(seed).choice((-1.0, 1.0), (surplus.shape[1], draws))
    largest = (np.abs(surplus @ flips) / np.where(errors > 0, errors, 1)[:, None]).max(axis=0)
    width = float(np.quantile(largest, _CONFIDENCE, method="higher")) * (2**0.5 if divided else 1) * _ROUNDING
    aucs, reach = 0.5 + surplus.sum(axis=1) / totals, width * errors / totals
    values = np.stack([aucs, np.maximum(0, aucs - reach), np.minimum(1, aucs + reach)], axis=1)
    judged = int((surplus != 0).any(axis=0).sum())
    return Intervals(values, enough=width < judged**0.5, needed=max(int(width**2), judged) + 1)
