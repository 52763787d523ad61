"""Makes the view objects of a whole run: its rows, failures, worst fakes, splits, newest results and progress."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from facefoundry.dataset.gates import MEASURES, Gate
from facefoundry.dataset.record import FakeRecord, PairRecord
from facefoundry.dataset.verdict import held_to, judged
from facefoundry.report import wording
from facefoundry.report.links import Links
from facefoundry.report.snapshot import Snapshot

__all__ = [
    "WORST",
    "Cell",
    "Counts",
    "FailureGroup",
    "Measured",
    "PairRow",
    "Progress",
    "SplitRow",
    "Worst",
    "count",
    "failures",
    "gates_by_measure",
    "pair_rows",
    "progress",
    "split_rows",
    "worst",
]

WORST = 10
"""How many of the worst fakes are listed for each measure."""


@dataclass(frozen=True)
class Counts:
    """The numbers in the summary of a run: pairs by state, fakes, frames of fakes, and swapped frames."""

    pairs: int
    done: int
    failed: int
    running: int
    pending: int
    fakes: int
    dropped: int
    frames: int
    swapped: int


@dataclass(frozen=True)
class Progress:
    """How fast a run works, in words; None where it is not known.

    Attributes:
        rate: Pairs in an hour, without those that were found done.
        left: Remaining time at this rate.
        saved: When the record was written.
    """

    rate: str | None
    left: str | None
    saved: str


@dataclass(frozen=True)
class Measured:
    """A value of one fake, in words, and whether a gate fails it."""

    text: str
    failed: bool


@dataclass(frozen=True)
class Cell:
    """The values of both fakes of a pair. `order` is the worse one, such that worse fakes come first."""

    values: list[Measured]
    order: float | None


@dataclass(frozen=True)
class PairRow:
    """A row of the table of pairs.

    Attributes:
        record: The record of the pair.
        link: Link to the pair; None if it has no page.
        split: Name of its split; empty without splits.
        swapped: Shares of swapped frames.
        cells: The values of each measure that has a gate.
        failed: Names of the measures of failed gates.
    """

    record: PairRecord
    link: str | None
    split: str
    swapped: Cell
    cells: list[Cell]
    failed: list[str]


@dataclass(frozen=True)
class FailureGroup:
    """The pairs that failed for one reason.

    Attributes:
        reason: The reason.
        stages: The stages at which they failed, with the numbers of pairs.
        pairs: The pairs, each with its link.
        message: What one of them says.
    """

    reason: str
    stages: str
    pairs: list[tuple[PairRecord, str | None]]
    message: str


@dataclass(frozen=True)
class WorstFake:
    """A fake among the worst of a measure, with the link to its pair."""

    fake: FakeRecord
    link: str | None
    value: Measured


@dataclass(frozen=True)
class Worst:
    """The worst fakes by one measure.

    Attributes:
        measure: Name of the measure.
        words: What it is.
        bar: The bars of its gates, in words.
        failed: Number of fakes that fail them.
        judged: Number of fakes that were judged.
        fakes: The worst ones, the worst first.
    """

    measure: str
    words: str
    bar: str
    failed: int
    judged: int
    fakes: list[WorstFake]


@dataclass(frozen=True)
class SplitRow:
    """The pairs of a split by state, and its fakes."""

    split: str
    counts: Counts


def count(pairs: Iterable[PairRecord]) -> Counts:
    """Count the pairs by state, the fakes, their frames and the swapped frames."""
    pairs = list(pairs)
    states = Counter(pair.state for pair in pairs)
    fakes = [fake for pair in pairs for fake in pair.fakes]
    return Counts(
        pairs=len(pairs),
        done=states["done"],
        failed=states["failed"],
        running=states["running"],
        pending=states["pending"],
        fakes=sum(not fake.dropped for fake in fakes),
        dropped=sum(fake.dropped for fake in fakes),
        frames=sum(fake.frames for fake in fakes),
        swapped=sum(fake.swapped for fake in fakes),
    )


def progress(snapshot: Snapshot) -> Progress:
    """Return how fast a run works. Pairs that were found done in the store do not count."""
    run, pairs = snapshot.run, snapshot.pairs
    made = sum(pair.state == "done" and not pair.reused for pair in pairs)
    left = sum(not pair.ended for pair in pairs)
    per_hour = 3600 * made / run.seconds if made and run.seconds > 0 else None
    saved = datetime.fromtimestamp(snapshot.run_saved, timezone.utc).isoformat(timespec="seconds")
    return Progress(
        rate=f"{per_hour:.3g}" if per_hour else None,
        left=wording.duration(3600 * left / per_hour) if per_hour and left else None,
        saved=saved,
    )


def gates_by_measure(snapshot: Snapshot) -> dict[str, list[Gate]]:
    """Return the gates that the fakes were held to, by the name of the measure."""
    found = dict[str, list[Gate]]()
    for gate in held_to(snapshot.run.gates, (fake for pair in snapshot.pairs for fake in pair.fakes)):
        found.setdefault(gate.measure, []).append(gate)
    return found


def pair_rows(snapshot: Snapshot, links: Links) -> Iterator[PairRow]:
    """Yield the rows of the table of pairs."""
    gates = gates_by_measure(snapshot)
    for pair in snapshot.pairs:
        yield PairRow(
            record=pair,
            link=links.pair(pair.id),
            split=snapshot.splits.get(pair.id, ""),
            swapped=_swapped(pair.fakes),
            cells=[_cell(pair.fakes, measure, own) for measure, own in gates.items()],
            failed=sorted({failed.measure for fake in pair.fakes for failed in fake.failed}),
        )


def failures(snapshot: Snapshot, links: Links) -> list[FailureGroup]:
    """Group the failed pairs by reason, those of most pairs first."""
    groups: dict[str, list[PairRecord]] = {}
    for pair in snapshot.pairs:
        if pair.state == "failed":
            groups.setdefault(pair.failure.reason if pair.failure else "", []).append(pair)
    return [
        FailureGroup(
            reason=reason,
            stages=", ".join(f"{stage} {number:,}" for stage, number in _stages(pairs).most_common()),
            pairs=[(pair, links.pair(pair.id)) for pair in pairs],
            message=pairs[0].failure.message if pairs[0].failure else "",
        )
        for reason, pairs in sorted(groups.items(), key=lambda group: -len(group[1]))
    ]


def worst(snapshot: Snapshot, links: Links) -> list[Worst]:
    """Return the worst fakes by each measure that has a gate, of those whose value is judged."""
    found = []
    for name, gates in gates_by_measure(snapshot).items():
        known = [
            (value, fake, pair)
            for pair in snapshot.pairs
            for fake in pair.fakes
            if (value := judged(fake, name)) is not None
        ]
        known.sort(key=lambda entry: entry[0] if MEASURES[name].better == "higher" else -entry[0])
        found.append(
            Worst(
                measure=name,
                words=MEASURES[name].words,
                bar=wording.bars_of(gates),
                failed=sum(_fails(fake, name) for _, fake, _ in known),
                judged=len(known),
                fakes=[
                    WorstFake(fake, links.pair(pair.id), Measured(_number(value, gates), _fails(fake, name)))
                    for value, fake, pair in known[:WORST]
                ],
            )
        )
    return found


def split_rows(snapshot: Snapshot) -> list[SplitRow]:
    """Return the splits, with their pairs by state; empty without splits."""
    if not snapshot.splits:
        return []
    groups: dict[str, list[PairRecord]] = {name: [] for name in dict.fromkeys(snapshot.splits.values())}
    for pair in snapshot.pairs:
        groups.setdefault(snapshot.splits.get(pair.id, "none"), []).append(pair)
    return [SplitRow(name, count(pairs)) for name, pairs in groups.items()]


def _stages(pairs: Sequence[PairRecord]) -> Counter[str]:
    return Counter(pair.failure.stage for pair in pairs if pair.failure and pair.failure.stage)


def _fails(fake: FakeRecord, name: str) -> bool:
    return any(failed.measure == name for failed in fake.failed)


def _cell(fakes: Sequence[FakeRecord], name: str, gates: Sequence[Gate]) -> Cell:
    sign = 1 if MEASURES[name].better == "higher" else -1
    known = [(fake, fake.quality.get(name)) for fake in fakes]
    return Cell(
        [Measured(_number(value, gates), _fails(fake, name)) for fake, value in known],
        min((sign * value for _, value in known if value is not None), default=None),
    )


def _swapped(fakes: Sequence[FakeRecord]) -> Cell:
    shares = [100 * fake.swapped / fake.frames for fake in fakes if fake.frames]
    return Cell([Measured(f"{share:.3g} %", failed=False) for share in shares], min(shares, default=None))


def _number(value: float | None, gates: Sequence[Gate]) -> str:
    """Format a value with two digits, or with as many as tell whether gates fail it."""
    if value is None:
        return "\N{EN DASH}"
    texts = (f"{value:.{digits}f}" for digits in (2, 3))
    fails = [gate.missed(value) for gate in gates]
    return next((text for text in texts if [gate.missed(float(text)) for gate in gates] == fails), f"{value:.4f}")
