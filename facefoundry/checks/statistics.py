"""Areas under the curve (AUC) of scores of fakes and real videos, with intervals that hold for all of them together.

The bootstrap draws groups and not videos, because the videos of a group are alike. The intervals are as wide as the
largest deviation among all rows asks for (max-t), so of 100 datasets without a leak about 95 have no row that excludes
0.5, however many rows there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["DRAWS", "Counts", "alone", "intervals", "paired"]

DRAWS = 1000
_CONFIDENCE = 0.95
# Two-sided quantile of the normal distribution for one row.
_ONE_ROW = 1.96


@dataclass(frozen=True)
class Counts:
    """Comparisons of fakes with real videos, by the groups of both.

    Attributes:
        won: float64 [g, g] for all fakes with all real videos, or [g] for pairs: in how many comparisons the fake has
            the higher score; a tie is half of one.
        all: The number of comparisons, of the same shape.
    """

    won: NDArray[np.float64]
    all: NDArray[np.float64]

    def auc(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the AUC for each row of weights of the groups, float64 [n, g]; 0.5 where nothing is compared."""
        if self.won.ndim == 1:
            total, won = weights @ self.all, weights @ self.won
        else:
            total = np.einsum("ng,ng->n", weights @ self.all, weights)
            won = np.einsum("ng,ng->n", weights @ self.won, weights)
        even = np.full(len(weights), 0.5)
        return np.asarray(np.divide(won, total, out=even, where=total > 0), np.float64)


def alone(
    fakes: NDArray[np.float64],
    real_scores: NDArray[np.float64],
    targets: NDArray[np.int64],
    groups: NDArray[np.int64],
    count: int,
) -> Counts:
    """Compare the score of each fake with those of the real videos of all other targets.

    Its own target is left out: they share their content, so that the smallest difference would decide.

    Args:
        fakes: float64 [n], scores of the fakes.
        real_scores: float64 [m], scores of the real videos, by the number of the target.
        targets: int64 [n], number of each fake's target.
        groups: int64 [m], group of each target, from 0.
        count: Number of groups.
    """
    won, total = np.zeros((count, count)), np.zeros((count, count))
    for score, target in zip(fakes, targets, strict=True):
        wins = (score > real_scores) + 0.5 * (score == real_scores)
        wins[target] = 0
        others = np.ones(len(real_scores))
        others[target] = 0
        won[groups[target]] += np.bincount(groups, wins, count)
        total[groups[target]] += np.bincount(groups, others, count)
    return Counts(won, total)


def paired(differences: NDArray[np.float64], groups: NDArray[np.int64], count: int) -> Counts:
    """Count in how many pairs the fake has the higher score than its own target.

    Args:
        differences: float64 [n], score of the fake minus that of its target.
        groups: int64 [n], group of each pair.
        count: Number of groups.
    """
    wins = (differences > 0) + 0.5 * (differences == 0)
    won, total = np.zeros(count), np.zeros(count)
    np.add.at(won, groups, wins)
    np.add.at(total, groups, 1.0)
    return Counts(won, total)


def intervals(rows: Iterable[Counts], seed: int = 0, draws: int = DRAWS) -> NDArray[np.float64]:
    """Return the AUC of each row with its interval; with a probability of about 0.95 all intervals hold together.

    Args:
        rows: Comparisons, all with the same groups. They are read one by one, as each can be large.
        seed: Seed of the bootstrap.
        draws: Number of its samples.

    Returns:
        float64 [n, 3]: AUC, lower and upper end for each row.
    """
    generator, centres, drawn, weights = np.random.default_rng(seed), list[float](), list[NDArray[np.float64]](), None
    for row in rows:
        count = len(row.won)
        if weights is None:
            weights = generator.multinomial(count, np.full(count, 1 / count), draws).astype(np.float64)
        centres.append(float(row.auc(np.ones((1, count)))[0]))
        drawn.append(row.auc(weights))
    if weights is None:
        return np.zeros((0, 3))
    aucs, samples, count = np.array(centres), np.array(drawn), weights.shape[1]
    # The bootstrap takes an AUC of 0 or 1 for certain, although few groups can have it by chance.
    likely = (aucs * count + 1) / (count + 2)
    errors = np.maximum(samples.std(axis=1), np.abs(2 * aucs - 1) * np.sqrt(likely * (1 - likely) / count))
    moved = np.abs(samples - samples.mean(axis=1, keepdims=True)) / np.where(errors > 0, errors, 1)[:, None]
    width = max(_ONE_ROW, float(np.quantile(moved.max(axis=0), _CONFIDENCE))) * _small_sample(count)
    return np.stack([aucs, np.maximum(0, aucs - width * errors), np.minimum(1, aucs + width * errors)], axis=1)


def _small_sample(groups: int) -> float:
    """Return how much wider intervals of few groups are: Student's quantile against the normal one, and n / (n - 1)."""
    free, z = max(1, groups - 1), _ONE_ROW
    quantile = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    return quantile / z * math.sqrt(groups / free)
