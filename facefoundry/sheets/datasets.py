"""Plans the sheets of a dataset's folder: one pair with its training, or a row for each pair, the worst first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from facefoundry.checks.videos import find_fakes, levels_of
from facefoundry.dataset.gates import FailedGate
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.plan import Pair
from facefoundry.dataset.record import FakeRecord, PairRecord, RunRecord
from facefoundry.dataset.run_folder import RunFolder
from facefoundry.errors import InvalidInput, NotFound
from facefoundry.sheets.fakes import VIEWS, FakePictures, inside, pictures_of
from facefoundry.sheets.plan import Cell, Row, SheetPlan, evenly
from facefoundry.sheets.ranking import worst_first

__all__ = ["plan_dataset", "plan_pair"]

_NAMED = 3
_PER_FAKE = 4  # pictures of a fake in a row: its target, and the fake


def plan_pair(layout: Layout, pair: str, frames: int, level: str = "") -> SheetPlan:
    """Plan the sheet of a pair: previews of its training, and for both fakes source, target, fake and masks.

    Args:
        layout: The dataset's folder.
        pair: Id of the pair or of one of its fakes.
        frames: Number of frames of each fake.
        level: Name of a level; empty takes the first one that a fake has.

    Raises:
        InvalidInput: the dataset has no such pair (PAIR).
        DataLoss: labels are damaged.
    """
    run, records = _records(layout)
    record = next((each for each in records if pair in (each.id, f"{each.b}_{each.a}")), None)
    a, _, b = (record.id if record else pair).partition("_")
    fakes = [
        pictures_of(layout, fake, frames, level, _fake_record(record, fake), run) for fake in (f"{a}_{b}", f"{b}_{a}")
    ]
    rows = [] if record is None else _previews(layout, record, frames)
    for fake in fakes:
        rows += list(_fake_rows(fake))
    if not rows:
        known = ", ".join([each.id for each in records[:_NAMED]]) or "none with pictures"
        message = f"Expected a pair of {layout.root} that has videos or pictures, such as {known}. Received {pair!r}."
        raise InvalidInput(message, reason="PAIR")
    return SheetPlan(f"{a}_{b}{_training(record)}", rows)


def plan_dataset(layout: Layout, most: int, level: str = "") -> SheetPlan:
    """Plan the sheet of a dataset: a row for each pair, of both fakes, ordered by the gates of its run.

    Args:
        layout: The dataset's folder.
        most: Most pairs to show.
        level: Name of a level; empty takes the first one that a fake has.

    Raises:
        InvalidInput: there are no fakes (NO_FAKES).
        DataLoss: labels are damaged.
    """
    run, records = _records(layout)
    if run is None:
        found = find_fakes(layout, [level] if level else levels_of(layout)).fakes
        pairs = sorted({Pair(*sorted((fake.target, fake.source))) for fake in found})
        records = [PairRecord(pair.id, pair.a, pair.b) for pair in pairs]
        order = "by name"
    else:
        records = worst_first(records, run.gates)
        order = "the worst first by its gates"
    rows = [_pair_row(layout, record, level, run) for record in records[:most]]
    name = run.name if run else layout.root.name
    return SheetPlan(f"{name}: {len(rows)} of {len(records)} pairs, {order}", rows)


def _records(layout: Layout) -> tuple[RunRecord | None, list[PairRecord]]:
    """Return the records of a run; None and none for a folder without one, such as FF++'s."""
    folder = RunFolder(layout.run_folder())
    with suppress(NotFound):
        return folder.load_run(), list(folder.load_pairs())
    return None, []


def _pair_row(layout: Layout, record: PairRecord, level: str, run: RunRecord | None) -> Row:
    cells = list[Cell]()
    for fake in (f"{record.a}_{record.b}", f"{record.b}_{record.a}"):
        rows = pictures_of(layout, fake, _PER_FAKE - 1, level, _fake_record(record, fake), run).rows
        shown = [*rows.get("target", [])[:1], *rows.get("swap", [])]
        cells += [*shown, *[Cell("")] * (_PER_FAKE - len(shown))]
    failed = [f"{fake.id}: {_failed(fake.failed)}" for fake in record.fakes if fake.failed]
    if record.failure:
        failed = [f"failed: {record.failure.reason}"]
    return Row(f"{record.id}   {'; '.join(failed)}", cells, is_faulty=bool(failed))


def _fake_rows(fake: FakePictures) -> Iterator[Row]:
    target, _, source = fake.id.partition("_")
    failed = fake.record.failed if fake.record else []
    for view, cells in fake.rows.items():
        caption = f"{fake.id}: {VIEWS[view]}"
        if view == "source":
            caption += f", {source}"
        elif view == "target":
            caption += f", {target}"
        elif view == "swap" and fake.record:
            caption += f"   {_failed(failed)}" if failed else _measured(fake.record)
        yield Row(caption, cells, is_faulty=view == "swap" and bool(failed))


def _failed(failed: Sequence[FailedGate]) -> str:
    return ", ".join(f"{gate.measure} {round(gate.value, 4):g} (bar {gate.bar:g})" for gate in failed)


def _measured(fake: FakeRecord) -> str:
    known = [
        f"{name} {value:.2f}" for name in ("identity", "sharpness") if (value := fake.quality.get(name)) is not None
    ]
    return f"   {', '.join(known)}" if known else ""


def _training(record: PairRecord | None) -> str:
    if record is None or not record.training.iterations:
        return ""
    return f": {record.training.iteration:,} of {record.training.iterations:,} iterations"


def _previews(layout: Layout, record: PairRecord, count: int) -> list[Row]:
    """Return the row of previews of a training, from its first to its last."""
    folder = layout.run_folder()
    found = [(preview.iteration, inside(folder, preview.file)) for preview in record.training.previews]
    shown = [(iteration, path) for iteration, path in found if path]
    count = max(2, count // 2)  # they are shown twice as large
    picked = shown if len(shown) <= count else [shown[0], *evenly(shown[1:-1], count - 2), shown[-1]]
    cells = [Cell(path, is_picture=True, words=f"{iteration:,}") for iteration, path in picked]
    return [Row("previews of the training, by iteration", cells, tiles=2)] if cells else []


def _fake_record(record: PairRecord | None, fake: str) -> FakeRecord | None:
    return next((each for each in record.fakes if each.id == fake), None) if record else None
