"""Orders the pairs of a run by their gates, the worst first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from facefoundry.dataset.gates import Gate
from facefoundry.dataset.record import FakeRecord, PairRecord
from facefoundry.dataset.verdict import judged

__all__ = ["shortfall", "worst_first"]


def worst_first(pairs: Sequence[PairRecord], gates: Sequence[Gate]) -> list[PairRecord]:
    """Return pairs by what their fakes fail: first pairs that failed, then gates that drop, retrain and flag.

    Pairs that fail as many gates are ordered by the fake that misses a bar by most or has least room to one.
    """

    def rank(pair: PairRecord) -> tuple[int | float | str, ...]:
        failed = [gate.action for fake in pair.fakes for gate in fake.failed]
        missed = max((shortfall(fake, gates) for fake in pair.fakes), default=-float("inf"))
        counts = (failed.count(action) for action in ("drop", "retrain", "flag"))
        return (pair.state != "failed", *(-count for count in counts), -missed, pair.id)

    return sorted(pairs, key=rank)


def shortfall(fake: FakeRecord, gates: Sequence[Gate]) -> float:
    """Return by which share of a bar a fake misses it, of the bar that it misses by most; negative if it passes all.

    Measures that were not taken, and motions where the target hardly moves, do not count.
    """
    return max(_shortfalls(fake, gates), default=-float("inf"))


def _shortfalls(fake: FakeRecord, gates: Sequence[Gate]) -> Iterator[float]:
    for gate in gates:
        value = judged(fake, gate.measure)
        if value is None:
            continue
        if gate.min is not None:
            yield (gate.min - value) / (abs(gate.min) or 1.0)
        if gate.max is not None:
            yield (value - gate.max) / (abs(gate.max) or 1.0)
